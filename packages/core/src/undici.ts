import { McpAuthError } from './errors.ts'

/** The oldest Node that undici 8 runs on; importing it on an older one ends in a stack trace. */
const oldest = [22, 19] as const

/**
 * @throws `MCPAUTH_UNSUPPORTED_RUNTIME` Node is too old.
 */
export function requireNode(version: string = process.versions.node): void {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > oldest[0] || (major === oldest[0] && minor >= oldest[1])) return
  throw new McpAuthError('MCPAUTH_UNSUPPORTED_RUNTIME', `mcpauth needs Node ${oldest.join('.')} or newer; this is ${version}`, {
    hint: 'install a newer Node: https://nodejs.org'
  })
}

/** What is used of undici, in its own types; none of them appears in a public declaration. */
export type Undici = typeof import('undici')

/** Loads undici when it is first needed: it costs 70 ms at start-up, and on an old Node {@link requireNode} must speak first. */
export function loadUndici(): Promise<Undici> {
  requireNode()
  return import('undici')
}

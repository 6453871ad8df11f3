import { readFile } from 'node:fs/promises'
import { type Environment, invalidOption, McpAuthError, secrets } from '@mcpauth/core'

/** Where a secret is read from, each time it is needed: a variable, a file (one trailing newline is removed), or a function. Never a literal. */
export type SecretSource = { readonly env: string } | { readonly file: string } | (() => string | Promise<string>)

/**
 * Checks at construction that an option says where its secret is.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 */
export function checkSecretSource(name: string, source: unknown): asserts source is SecretSource {
  if (typeof source === 'function') return
  if (typeof source === 'object' && source !== null) {
    const { env, file } = source as { env?: unknown; file?: unknown }
    if ((typeof env === 'string' && env !== '') !== (typeof file === 'string' && file !== '')) return
  }
  throw invalidOption(name, "is neither { env: 'NAME' } nor { file: 'path' } nor a function", 'a secret is never written into code')
}

/**
 * Reads a secret and registers it, so that it is taken out of whatever is printed.
 *
 * @throws `MCPAUTH_CREDENTIAL_MISSING` the variable or file is missing or empty; the error names it, never its value.
 */
export async function readSecret(name: string, source: SecretSource, env: Environment): Promise<string> {
  const value = await contentOf(name, source, env)
  if (typeof value !== 'string' || value === '') throw missing(name, describe(source), 'is empty')
  secrets.add(value, name)
  return value
}

async function contentOf(name: string, source: SecretSource, env: Environment): Promise<string | undefined> {
  if (typeof source === 'function') return await given(name, source)
  if ('env' in source) return env[source.env]
  try {
    return (await readFile(source.file, 'utf8')).replace(/\r?\n$/, '')
  } catch (error) {
    throw missing(name, describe(source), `cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

async function given(name: string, source: () => string | Promise<string>): Promise<string> {
  try {
    return await source()
  } catch (error) {
    // Neither chained nor quoted: it may hold what the function had in its hands.
    if (McpAuthError.is(error)) throw error
    throw new McpAuthError('MCPAUTH_CREDENTIAL_MISSING', `${name}: its function has thrown an error`, {
      hint: 'look at that function; an McpAuthError that it throws is handed on as it is'
    })
  }
}

function describe(source: SecretSource): string {
  if (typeof source === 'function') return 'what its function gave'
  return 'env' in source ? `the environment variable ${source.env}` : `the file ${source.file}`
}

function missing(name: string, what: string, fact: string): McpAuthError {
  return new McpAuthError('MCPAUTH_CREDENTIAL_MISSING', `${name}: ${what} ${fact}`, { hint: `provide ${what}` })
}

/** The secrets this program has read, as two closures and never as a readable list. */
export interface SecretRegistry {
  /**
   * Remembers a secret, so that it can be taken out of what is printed. Words too short to be secrets are not taken.
   * @param label What stands in its place: `[REDACTED:label]`.
   */
  add(secret: string, label?: string): void
  /** Replaces every remembered secret in `text`. */
  redact(text: string): string
}

const key = Symbol.for('mcpauth.secrets.1')
const minimumLength = 8
const capacity = 10_000

/**
 * The registry of this program. It hangs on the global object under a registered symbol, so that two copies of this package share it.
 */
export const secrets: SecretRegistry = shared()

function shared(): SecretRegistry {
  const global = globalThis as Record<symbol, unknown>
  global[key] ??= createSecretRegistry()
  return global[key] as SecretRegistry
}

function createSecretRegistry(): SecretRegistry {
  const known = new Map<string, string>()

  function add(secret: string, label?: string): void {
    if (secret.length < minimumLength) return
    known.delete(secret)
    known.set(secret, label ? `[REDACTED:${label}]` : '[REDACTED]')
    if (known.size > capacity) known.delete(known.keys().next().value as string)
  }

  function redact(text: string): string {
    let result = text
    for (const [secret, replacement] of known) if (result.includes(secret)) result = result.replaceAll(secret, replacement)
    return result
  }

  return Object.freeze({ add, redact })
}

import { headerPairs, secrets } from '@mcpauth/core'

/** Takes secrets out of what is about to be printed, logged or stored. */
export interface Redactor {
  /** Replaces every secret in a text. */
  redactText(text: string): string
  /** A copy of the headers, in any form undici takes, with the values of sensitive headers replaced. Names stay as written. */
  redactHeaders(headers: unknown): Record<string, string | string[]>
}

const sensitiveHeaders: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie'])

/** Makes a redactor over the secret registry of this program. */
export function createRedactor(): Redactor {
  function redactText(text: string): string {
    return secrets.redact(text)
  }

  function redactHeaders(headers: unknown): Record<string, string | string[]> {
    const redacted: Record<string, string | string[]> = {}
    for (const [name, value] of headerPairs(headers)) {
      if (sensitiveHeaders.has(name.toLowerCase())) redacted[name] = '[REDACTED]'
      else redacted[name] = Array.isArray(value) ? value.map(redactText) : redactText(value)
    }
    return redacted
  }

  return { redactText, redactHeaders }
}

import { McpAuthError, type McpAuthErrorOptions, safeText } from '@mcpauth/core'

/** What an authorization server said when it said no. */
export interface OAuthErrorDetails extends McpAuthErrorOptions {
  status: number
  error?: unknown
  error_description?: unknown
  /** From `Retry-After`, in milliseconds. */
  retryAfterMs?: number | undefined
}

/**
 * An authorization server's answer that is an error, or is no answer at all. Its words are made safe to print: one line, bounded, no escapes.
 */
export class OAuthResponseError extends McpAuthError {
  /** The HTTP status. */
  readonly status: number
  /** RFC 6749 §5.2, as in `invalid_grant`; undefined when the answer was not of that form. */
  readonly error: string | undefined
  readonly error_description: string | undefined
  /** How long the server wants to be left alone, in milliseconds. */
  readonly retryAfterMs: number | undefined

  constructor(what: string, { status, error, error_description, retryAfterMs, ...options }: OAuthErrorDetails) {
    const code = safeText(error, 80) || undefined
    const description = safeText(error_description) || undefined
    super('MCPAUTH_OAUTH_RESPONSE', `${what}: ${[`status ${status}`, code, description].filter(Boolean).join(', ')}`, options)
    this.status = status
    this.error = code
    this.error_description = description
    this.retryAfterMs = retryAfterMs
  }
}

import { withoutQueries } from './url-queries.ts'

/**
 * Every code an {@link McpAuthError} can carry. Each has an anchor in docs/errors.md.
 */
export type McpAuthErrorCode =
  // construction
  | 'MCPAUTH_INVALID_OPTION'
  | 'MCPAUTH_INSECURE_URL'
  | 'MCPAUTH_LAYER_CONFLICT'
  | 'MCPAUTH_UNSUPPORTED_TRANSPORT'
  | 'MCPAUTH_UNSUPPORTED_RUNTIME'
  // credentials
  | 'MCPAUTH_CREDENTIAL_MISSING'
  | 'MCPAUTH_CREDENTIAL_INVALID'
  | 'MCPAUTH_TOKEN_REFUSED'
  | 'MCPAUTH_BODY_NOT_REPLAYABLE'
  | 'MCPAUTH_CLOSED'
  // OAuth
  | 'MCPAUTH_LOGIN_REQUIRED'
  | 'MCPAUTH_LOGIN_PENDING'
  | 'MCPAUTH_LOGIN_FAILED'
  | 'MCPAUTH_STEP_UP_REQUIRED'
  | 'MCPAUTH_DISCOVERY_FAILED'
  | 'MCPAUTH_ISSUER_MISMATCH'
  | 'MCPAUTH_RESOURCE_MISMATCH'
  | 'MCPAUTH_PKCE_UNSUPPORTED'
  | 'MCPAUTH_REGISTRATION_FAILED'
  | 'MCPAUTH_CLIENT_MISMATCH'
  | 'MCPAUTH_OAUTH_RESPONSE'
  | 'MCPAUTH_ADDRESS_REFUSED'
  | 'MCPAUTH_NETWORK'
  | 'MCPAUTH_TIMEOUT'
  // stores and locks
  | 'MCPAUTH_LOCK_TIMEOUT'
  | 'MCPAUTH_LOCK_REENTRANT'
  | 'MCPAUTH_STORE_UNSAFE'
  | 'MCPAUTH_STORE_UNAVAILABLE'
  | 'MCPAUTH_STORE_NEWER'
  // signatures and connections
  | 'MCPAUTH_KEY_INVALID'
  | 'MCPAUTH_SIGNATURE_INVALID'
  | 'MCPAUTH_BODY_TOO_LARGE'
  | 'MCPAUTH_AWS_UNKNOWN_SCOPE'
  | 'MCPAUTH_AWS_CREDENTIALS'
  | 'MCPAUTH_AWS_REFUSED'
  | 'MCPAUTH_CERTIFICATE_INVALID'
  | 'MCPAUTH_TLS'

/** What an {@link McpAuthError} is made of, beside its code and message. */
export interface McpAuthErrorOptions {
  /** What the user does next; a command where there is one. */
  hint?: string
  /** The error behind this one. It must hold no secret: scrub it first. */
  cause?: unknown
}

const brand = Symbol.for('mcpauth.error')

/**
 * The one error of this project. `code` says which, the message is a fact in lower case, `hint` says what to do about it.
 * Nothing that can hold a secret is ever put in the message, the hint, the cause, or an enumerable property; URLs stand there without their queries.
 *
 * @example
 * ```ts
 * import { McpAuthError } from '@mcpauth/core'
 *
 * export function explain(error: unknown): string {
 *   return McpAuthError.is(error) ? `${error.message} (${error.code}): ${error.hint}` : String(error)
 * }
 * ```
 */
export class McpAuthError extends Error {
  override readonly name: string = 'McpAuthError'
  readonly code: McpAuthErrorCode
  readonly hint: string | undefined

  constructor(code: McpAuthErrorCode, message: string, options: McpAuthErrorOptions = {}) {
    super(withoutQueries(message), options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint === undefined ? undefined : withoutQueries(options.hint)
    Object.defineProperty(this, brand, { value: true })
    // SDK v2's version probe wraps what fetch throws; an error stamped so passes as it is.
    Object.defineProperty(this, Symbol.for('mcp.authSeamEscape'), { value: true })
  }

  /** Whether `value` is an McpAuthError, also one of another copy of this package in the same program. */
  static is(value: unknown): value is McpAuthError {
    return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[brand] === true
  }
}

/** An option that cannot be used, named. Thrown at construction. */
export function invalidOption(name: string, fact: string, hint?: string): McpAuthError {
  return new McpAuthError('MCPAUTH_INVALID_OPTION', `option ${name}: ${fact}`, hint === undefined ? {} : { hint })
}

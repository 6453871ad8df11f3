import { secrets } from '@mcpauth/core'
import { parseJson, retryAfterMs } from './authorization-server-client.ts'
import { OAuthResponseError } from './oauth-response-error.ts'

/** A token endpoint's answer (RFC 6749 §5.1), normalised. */
export interface TokenResponse {
  access_token: string
  /** Lower case. */
  token_type: string
  refresh_token?: string
  /** Space-separated. */
  scope?: string
  /** In seconds, above 0; absent when the server said nothing usable. */
  expires_in?: number
  issued_token_type?: string
  /** As it came: not verified. */
  id_token?: string
}

const tenYears = 10 * 365 * 24 * 3600

/**
 * Reads a token endpoint's answer. What servers get slightly wrong is put right before oauth4webapi looks at it, because a throw after a
 * rotation would lose the grant: a missing `token_type`, `refresh_token: null`, `scope` as an array, `expires_in` as a string.
 *
 * @param owner Whose tokens these are.
 * @throws `MCPAUTH_OAUTH_RESPONSE` anything but an answer with an access token, also a 200 that holds an `error`.
 */
export async function readTokenResponse(response: Response, what: string, owner: string): Promise<TokenResponse> {
  const body = parseJson(await response.text())
  const fields = isObject(body) ? body : undefined
  if (!response.ok || !fields || typeof fields.error === 'string') {
    const { error, error_description } = fields ?? {}
    throw new OAuthResponseError(fields ? what : `${what} is not JSON`, {
      status: response.status,
      error,
      error_description,
      retryAfterMs: retryAfterMs(response)
    })
  }
  return normalise(fields, what, response.status, owner)
}

function normalise(fields: Record<string, unknown>, what: string, status: number, owner: string): TokenResponse {
  const { access_token, token_type, refresh_token, issued_token_type } = fields
  if (typeof access_token !== 'string') throw new OAuthResponseError(`${what} holds no access token`, { status })
  // What goes into a header must fit into one; a token that does not would fail each request with a worse error.
  if (!/^[\u0021-\u007e]+$/.test(access_token))
    throw new OAuthResponseError(`${what} holds an access token with illegal characters`, { status })
  secrets.add(access_token, 'access_token', owner)
  const result: TokenResponse = { access_token, token_type: typeof token_type === 'string' ? token_type.toLowerCase() : 'bearer' }
  if (typeof refresh_token === 'string' && refresh_token !== '') {
    secrets.add(refresh_token, 'refresh_token', owner)
    result.refresh_token = refresh_token
  }
  const scope = scopeOf(fields.scope)
  if (scope !== undefined) result.scope = scope
  const lifetime = lifetimeOf(fields.expires_in)
  if (lifetime !== undefined) result.expires_in = lifetime
  if (typeof fields.id_token === 'string' && fields.id_token !== '') {
    secrets.add(fields.id_token, 'id_token', owner)
    result.id_token = fields.id_token
  }
  if (typeof issued_token_type === 'string') result.issued_token_type = issued_token_type
  return result
}

function scopeOf(scope: unknown): string | undefined {
  if (typeof scope === 'string') return scope
  return Array.isArray(scope) && scope.every((item) => typeof item === 'string') ? scope.join(' ') : undefined
}

/** 0 and less mean nothing usable (some servers mean "never expires"): then the MCP server's 401 decides. */
function lifetimeOf(value: unknown): number | undefined {
  const seconds = typeof value === 'string' ? Number(value) : value
  return typeof seconds === 'number' && seconds > 0 ? Math.min(seconds, tenYears) : undefined
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

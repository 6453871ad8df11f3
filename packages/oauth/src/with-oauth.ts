import { type Interceptor, invalidOption, parseServerUrl } from '@mcpauth/core'
import { withRefreshOn401 } from '@mcpauth/refresh-on-401'
import { type OAuthTokens, oauthTokens } from './oauth-tokens.ts'
import type { OAuthOptions } from './options.ts'

/**
 * Puts a fresh OAuth access token on every request to an MCP server, logs in when it has none, and sends a request again with a new token when
 * the server refuses it. One refresh at a time, across all processes that share the store. A server that needs no token just works.
 *
 * @param server The MCP server; other requests pass untouched.
 * @param options Options, or tokens made by {@link oauthTokens} to be shared with `login()` and `logout()`.
 * @throws `MCPAUTH_INVALID_OPTION`, `MCPAUTH_INSECURE_URL` at construction; on the road `MCPAUTH_LOGIN_REQUIRED`, `MCPAUTH_LOGIN_PENDING`,
 * `MCPAUTH_LOGIN_FAILED`, `MCPAUTH_STEP_UP_REQUIRED`, `MCPAUTH_TOKEN_REFUSED`, and what discovery and the token endpoint throw.
 * @see https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization
 * @example
 * ```ts
 * import { authFetch } from '@mcpauth/core'
 * import { withOAuth } from '@mcpauth/oauth'
 *
 * const url = new URL('https://mcp.example.com/mcp')
 * export const fetch = authFetch(withOAuth(url))
 * ```
 */
export function withOAuth(server: string | URL, options: OAuthOptions | OAuthTokens = {}): Interceptor {
  const tokens = isTokens(options) ? options : oauthTokens(server, options)
  if (parseServerUrl(server, { dangerouslyAllowHttp: true }).href !== tokens.server.href)
    throw invalidOption('options', `these are the tokens of ${tokens.server.href}`)
  // What is http here has been allowed where the tokens were made.
  return withRefreshOn401(tokens.server, tokens, { dangerouslyAllowHttp: tokens.server.protocol === 'http:' })
}

function isTokens(options: OAuthOptions | OAuthTokens): options is OAuthTokens {
  return typeof (options as OAuthTokens).renew === 'function' && typeof (options as OAuthTokens).current === 'function'
}

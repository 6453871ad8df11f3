import { cannotCarryDPoP } from './auth-provider.ts'
import { McpAuthError } from './errors.ts'
import type { TokenSource } from './token-source.ts'

/** SDK v1's `OAuthClientProvider` (v2 takes it too), as far as this adapter needs it: the SDK is never to run a flow of its own. */
export interface OAuthClientProvider {
  readonly redirectUrl: undefined
  readonly clientMetadata: { redirect_uris: string[]; client_name: string }
  clientInformation(): undefined
  tokens(): Promise<{ access_token: string; token_type: string } | undefined>
  saveTokens(): never
  redirectToAuthorization(): never
  saveCodeVerifier(): never
  codeVerifier(): never
}

/** Options of {@link asOAuthClientProvider}. */
export interface OAuthClientProviderOptions {
  /** The MCP server, for the message that says how to log in. */
  server?: string | URL
}

/**
 * A token source as the `OAuthClientProvider` of SDK v1 and of hosts that take only that (LangChain's adapters, most desktop hosts). Its `tokens()` is always
 * fresh and carries no refresh token, so that the SDK cannot rotate it behind our back; a refusal ends in `MCPAUTH_LOGIN_REQUIRED`.
 * Prefer {@link authFetch}: it mends a 401 instead of ending there.
 *
 * @throws `MCPAUTH_LOGIN_REQUIRED` from whatever the SDK calls to start a flow.
 * @throws `MCPAUTH_UNSUPPORTED_TRANSPORT` from `tokens()`: DPoP cannot be carried here.
 */
export function asOAuthClientProvider(tokens: TokenSource, options: OAuthClientProviderOptions = {}): OAuthClientProvider {
  function loginRequired(): never {
    const server = options.server === undefined ? 'the server' : String(options.server)
    throw new McpAuthError('MCPAUTH_LOGIN_REQUIRED', `${server} wants a login`, {
      hint: `run: npx @mcpauth/cli login ${options.server === undefined ? '<url>' : String(options.server)}`
    })
  }

  async function current(): Promise<{ access_token: string; token_type: string } | undefined> {
    const token = await tokens.current()
    if (!token) return undefined
    if (token.scheme !== 'Bearer') throw cannotCarryDPoP()
    return { access_token: token.value, token_type: token.scheme }
  }

  return {
    redirectUrl: undefined,
    clientMetadata: { redirect_uris: [], client_name: 'mcpauth' },
    clientInformation: () => undefined,
    tokens: current,
    saveTokens: loginRequired,
    redirectToAuthorization: loginRequired,
    saveCodeVerifier: loginRequired,
    codeVerifier: loginRequired
  }
}

import { cannotCarryDPoP } from './auth-provider.ts'
import { loginCommand } from './command-word.ts'
import { McpAuthError } from './errors.ts'
import type { TokenSource } from './token-source.ts'

/** SDK v1's `OAuthClientProvider` (v2 takes it too), as far as this adapter needs it: the SDK is never to run a flow of its own. */
export interface OAuthClientProvider {
  readonly redirectUrl: undefined
  readonly clientMetadata: { redirect_uris: string[]; client_name: string }
  discoveryState(): never
  clientInformation(): never
  tokens(): Promise<{ access_token: string; token_type: string } | undefined>
  saveTokens(): never
  redirectToAuthorization(): never
  saveCodeVerifier(): never
  codeVerifier(): never
}

/** Options of {@link asOAuthClientProvider}. */
export interface OAuthClientProviderOptions {
  /** The MCP server, for the message that says how to log in. @default the source's own, if it has one */
  server?: string | URL
}

/**
 * A token source as the `OAuthClientProvider` of SDK v1 and of hosts that take only that (LangChain's adapters, most desktop hosts). Its `tokens()` is always
 * fresh and carries no refresh token, so that the SDK cannot rotate it behind our back; a refusal ends in `MCPAUTH_LOGIN_REQUIRED`, before the SDK has
 * asked anyone anything. Prefer {@link authFetch}: it mends a 401 instead of ending there.
 *
 * @throws `MCPAUTH_LOGIN_REQUIRED` from whatever the SDK calls to start a flow.
 * @throws `MCPAUTH_UNSUPPORTED_TRANSPORT` from `tokens()`: DPoP cannot be carried here.
 */
export function asOAuthClientProvider(
  tokens: TokenSource & { readonly server?: URL },
  options: OAuthClientProviderOptions = {}
): OAuthClientProvider {
  const server = options.server ?? tokens.server
  let given = false

  function loginRequired(): never {
    const fact = `${server === undefined ? 'the server' : String(server)} ${given ? 'refuses the token' : 'wants a login'}`
    throw new McpAuthError('MCPAUTH_LOGIN_REQUIRED', fact, {
      hint: `run: ${loginCommand(server)}`
    })
  }

  async function current(): Promise<{ access_token: string; token_type: string } | undefined> {
    const token = await tokens.current()
    if (token && token.scheme !== 'Bearer') throw cannotCarryDPoP()
    given = token !== undefined
    return token && { access_token: token.value, token_type: token.scheme }
  }

  return {
    redirectUrl: undefined,
    clientMetadata: { redirect_uris: [], client_name: 'mcpauth' },
    // What both SDKs ask for first when a server refuses: ending here, no authorization server hears of it.
    discoveryState: loginRequired,
    // For releases that do not know discoveryState.
    clientInformation: loginRequired,
    tokens: current,
    saveTokens: loginRequired,
    redirectToAuthorization: loginRequired,
    saveCodeVerifier: loginRequired,
    codeVerifier: loginRequired
  }
}

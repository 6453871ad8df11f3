import { parseChallenges } from './auth-challenge.ts'
import { McpAuthError } from './errors.ts'
import type { AccessToken, Refusal, TokenSource } from './token-source.ts'

/** SDK v2's `AuthProvider`, as far as it is used. */
export interface AuthProvider {
  token(): Promise<string | undefined>
  onUnauthorized(context: { response: Response }): Promise<void>
}

/**
 * A token source as SDK v2's `AuthProvider`, for hosts that take only that. Prefer {@link authFetch}: it replays exactly the refused request, serves 403 and
 * DPoP, and binds the token to its server.
 *
 * @param tokens `oauthTokens(url, …)` or any other source.
 * @throws `MCPAUTH_UNSUPPORTED_TRANSPORT` from `token()`: the source makes DPoP tokens, which need a proof per request that this interface cannot carry.
 */
export function asAuthProvider(tokens: TokenSource): AuthProvider {
  let lastGiven: AccessToken | undefined

  async function token(): Promise<string | undefined> {
    lastGiven = await tokens.current()
    if (lastGiven && lastGiven.scheme !== 'Bearer') throw cannotCarryDPoP()
    return lastGiven?.value
  }

  async function onUnauthorized({ response }: { response: Response }): Promise<void> {
    await tokens.renew(refusalOf(response, lastGiven))
  }

  return { token, onUnauthorized }
}

function refusalOf(response: Response, token: AccessToken | undefined): Refusal {
  return {
    status: 401,
    cause: 'token',
    challenges: parseChallenges(response.headers.get('www-authenticate') ?? undefined),
    token,
    // This interface does not tell what became of a token: a stored one is taken to have worked once.
    accepted: token?.origin === 'stored',
    request: { method: 'POST', url: new URL(response.url) },
    headers: Object.fromEntries(response.headers)
  }
}

/** A DPoP token where only a bearer token can be carried. */
export function cannotCarryDPoP(): McpAuthError {
  return new McpAuthError('MCPAUTH_UNSUPPORTED_TRANSPORT', 'a provider cannot carry a DPoP proof', {
    hint: 'use authFetch(withOAuth(url, { dpop: true })), or leave dpop off'
  })
}

import { AsyncLocalStorage } from 'node:async_hooks'
import { parseChallenges } from './auth-challenge.ts'
import { loginCommand } from './command-word.ts'
import { McpAuthError } from './errors.ts'
import type { AccessToken, Refusal, TokenSource } from './token-source.ts'

/** SDK v2's `AuthProvider`, as far as it is used. */
export interface AuthProvider {
  token(): Promise<string | undefined>
  onUnauthorized(context: { response: Response; serverUrl: URL }): Promise<void>
}

/** What one request of the SDK carried. */
interface Call {
  token: AccessToken | undefined
}

// Whoever is refused more often than this within a minute is refused whatever it sends.
const mostRenewals = 3
const renewalWindowMs = 60_000

/**
 * A token source as SDK v2's `AuthProvider`, for hosts that take only that. Prefer {@link authFetch}: it replays exactly the refused request, serves 403 and
 * DPoP, and binds the token to its server.
 *
 * A refused token is renewed, one renewal for all requests that carried it, and the SDK sends the request once more. The interface does not say whether a
 * token ever worked: after three renewals in a minute the next refusal is taken to be for good.
 *
 * @param tokens `oauthTokens(url, …)` or any other source.
 * @throws `MCPAUTH_UNSUPPORTED_TRANSPORT` from `token()`: the source makes DPoP tokens, which need a proof per request that this interface cannot carry.
 * @throws `MCPAUTH_LOGIN_REQUIRED` or `MCPAUTH_TOKEN_REFUSED` from `onUnauthorized()`: no other token is to be had, or none helps.
 */
export function asAuthProvider(tokens: TokenSource): AuthProvider {
  const calls = new AsyncLocalStorage<Call>()
  const renewals = renewalLimit()
  let latest: Call = { token: undefined }

  function token(): Promise<string | undefined> {
    // The SDK does not say which request was refused. Entered before anything is awaited, this is seen by the rest of the caller's turn, its
    // onUnauthorized included: a 401 that arrives late is not taken for a refusal of the token that has replaced its own.
    const call: Call = { token: undefined }
    calls.enterWith(call)
    return give(call)
  }

  async function give(call: Call): Promise<string | undefined> {
    call.token = await tokens.current()
    latest = call
    if (call.token && call.token.scheme !== 'Bearer') throw cannotCarryDPoP()
    return call.token?.value
  }

  async function onUnauthorized({ response, serverUrl }: { response: Response; serverUrl: URL }): Promise<void> {
    const refused = (calls.getStore() ?? latest).token
    const now = await tokens.current()
    if (now && now.generation !== refused?.generation) return
    const accepted = refused?.origin === 'stored' || renewals.mayWork()
    if (refused?.origin === 'granted' && !accepted) throw keepsRefusing(serverUrl)
    renewals.add(await tokens.renew(refusalOf(response, serverUrl, refused, accepted)))
  }

  return { token, onUnauthorized }
}

function renewalLimit(): { mayWork(): boolean; add(renewed: AccessToken): void } {
  // By generation: many requests share one renewal.
  const recent = new Map<number, number>()
  return {
    mayWork() {
      for (const [generation, at] of recent) if (performance.now() - at >= renewalWindowMs) recent.delete(generation)
      return recent.size < mostRenewals
    },
    add: ({ generation }) => void recent.set(generation, performance.now())
  }
}

function refusalOf(response: Response, url: URL, token: AccessToken | undefined, accepted: boolean): Refusal {
  return {
    status: 401,
    cause: 'token',
    challenges: parseChallenges(response.headers.get('www-authenticate') ?? undefined),
    token,
    accepted,
    request: { method: 'POST', url },
    headers: Object.fromEntries(response.headers)
  }
}

function keepsRefusing(server: URL): McpAuthError {
  return new McpAuthError(
    'MCPAUTH_TOKEN_REFUSED',
    `${server.origin} answered 401 to every token, although each had just been issued for it`,
    {
      hint: `check what the server expects (audience, issuer, scope), then: ${loginCommand(server)}`
    }
  )
}

/** A DPoP token where only a bearer token can be carried. */
export function cannotCarryDPoP(): McpAuthError {
  return new McpAuthError('MCPAUTH_UNSUPPORTED_TRANSPORT', 'a provider cannot carry a DPoP proof', {
    hint: 'use authFetch(withOAuth(url, { dpop: true })), or leave dpop off'
  })
}

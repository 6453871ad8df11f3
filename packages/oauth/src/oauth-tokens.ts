import type { AccessToken, Refusal, TokenRecord, TokenSource } from '@mcpauth/core'
import { hasTokens } from './access-token.ts'
import type { AuthorizationWish } from './authorization-request.ts'
import type { Authorizer } from './authorizer.ts'
import { currentToken } from './current-token.ts'
import { dpopNonces } from './dpop.ts'
import { createFlights, type Flight, waitFor } from './flights.ts'
import { keepFresh } from './keep-fresh.ts'
import { loadAsking } from './load-asking.ts'
import type { Login } from './login.ts'
import { loginErrors } from './login-errors.ts'
import type { OAuthResponseError } from './oauth-response-error.ts'
import { type OAuthStatus, statusOf } from './oauth-status.ts'
import { checkOptions, checkScope, type OAuthOptions } from './options.ts'
import { refresher } from './refresher.ts'
import { roadNetwork } from './road-network.ts'
import { challengedScope, scopeCovers, scopeWords } from './scope-selection.ts'
import { stepUpLimit } from './step-up-limit.ts'
import { tokenHeaders } from './token-headers.ts'

/** What {@link OAuthTokens.login} may be told. */
export interface LoginOptions {
  /** In place of the option of the same name. */
  login?: Login
  /** Space-separated; in place of the option. */
  scope?: string
  /** Does not use a client registration that was kept, for one that the server has forgotten. */
  newRegistration?: boolean
  signal?: AbortSignal
}

/** The tokens of one login at one MCP server: a {@link TokenSource} that can also log in and out. */
export interface OAuthTokens extends TokenSource {
  readonly server: URL
  current(): AccessToken | undefined | Promise<AccessToken | undefined>
  /**
   * Logs in now, whether or not there are tokens. Call it before `connect()`: a request waits for a person only so long.
   * Of several processes that do so at once, one asks and the others take its token.
   *
   * @throws `MCPAUTH_LOGIN_REQUIRED` there is neither a `login` nor a `grant`; `MCPAUTH_LOGIN_FAILED`, and what discovery throws
   */
  login(options?: LoginOptions): Promise<OAuthStatus>
  /** Revokes the tokens where the server offers it (RFC 7009), and forgets them, under their lock. */
  logout(): Promise<void>
  /** What is stored, without a secret. */
  status(): Promise<OAuthStatus>
  /**
   * Renews the token ahead of its end, and once a day at least, also while no request is made; until disposed of. Of several processes one renews. It does not keep
   * the process alive.
   */
  keepFresh(): Disposable
}

/** How much longer than a person has a login may take to end, in milliseconds. */
const endingMs = 10_000

/**
 * The tokens for one MCP server, kept fresh: one refresh per key, across processes.
 *
 * @param server The MCP server.
 * @throws `MCPAUTH_INVALID_OPTION`, `MCPAUTH_INSECURE_URL` at construction
 * @example
 * ```ts
 * import { browserLogin, oauthTokens, withOAuth } from '@mcpauth/oauth'
 * import { authFetch } from '@mcpauth/core'
 *
 * const tokens = oauthTokens('https://mcp.example.com/mcp', { login: browserLogin() })
 * await tokens.login()
 * export const fetch = authFetch(withOAuth('https://mcp.example.com/mcp', tokens))
 * ```
 */
export function oauthTokens(server: string | URL, options: OAuthOptions = {}): OAuthTokens {
  const settings = checkOptions(server, options)
  const { key, store, now } = settings
  const way = roadNetwork(options.dispatcher)
  const nonces = dpopNonces()
  const { schemes, bind, authorize, observe } = tokenHeaders(settings, nonces)
  const errors = loginErrors(settings)
  const flights = createFlights<AccessToken>()
  const refreshes = refresher(settings, { send: async (...request) => (await authorizer()).send(...request) })
  const { refresh, isWornOut, unsaved } = refreshes
  const inUse = currentToken(settings, { refreshes, authorizer, bind })
  const stepUps = stepUpLimit(now)

  let authorizing: Authorizer | undefined

  /** Loaded when there is first something to ask. */
  async function authorizer(): Promise<Authorizer> {
    const asking = await loadAsking()
    authorizing ??= asking.authorizer(settings, way, nonces, errors)
    return authorizing
  }

  function renew(refusal: Refusal, waiter?: AbortSignal): Promise<AccessToken> {
    const generation = refusal.token?.generation
    switch (refusal.cause) {
      case 'nonce':
        // `observe` has kept it; the same token goes with another proof.
        return refusal.token ? Promise.resolve(refusal.token) : Promise.reject(errors.required())
      case 'scope':
        return patiently(
          flights.join(`scope:${generation}:${challengedScope(refusal.challenges)}`, (asking) => stepUp(refusal, asking)),
          waiter
        )
      default:
        return patiently(
          flights.join(`token:${generation}`, (asking) => replace(refusal, asking)),
          waiter
        )
    }
  }

  function patiently(flight: Flight<AccessToken>, waiter: AbortSignal | undefined): Promise<AccessToken> {
    return waitFor(flight, { waiter, personMs: settings.loginWaitMs, tooLong: errors.pending })
  }

  /** Another token in place of a refused one: one that is there already, a refreshed one, a granted one. */
  async function replace(refusal: Refusal, asking: () => void): Promise<AccessToken> {
    const { token: stale, challenges } = refusal
    const held = inUse.held()
    if (held && held.token.value !== stale?.value && now() < held.endsAtMs) return held.token
    const { isStillOurs, obtain } = await authorizer()
    let registerAnew = false
    if (hasTokens(await inUse.readOurs()) || unsaved()) {
      // A refreshed token that this server has never taken: another refresh would be refused as well, and so for ever.
      const useless = stale?.origin === 'refreshed' && !refusal.accepted
      const mayRefresh = async (record: TokenRecord): Promise<boolean> =>
        !useless && !isWornOut(record.refresh_token) && (await isStillOurs(record, challenges))
      const outcome = await refresh(stale, mayRefresh)
      const token = inUse.taken(outcome)
      if (token) return token
      const failure = outcome.kind === 'impossible' ? outcome : undefined
      if (!settings.grant && !settings.login) throw errors.required(failure?.error)
      registerAnew = failure?.why === 'refused' && isForgottenClient(failure.error)
    }
    return inUse.granted(await obtain({ challenges, refused: true, stale, registerAnew }, settings.login, asking), 'granted')
  }

  /** A wider scope (N28, N29): never by refresh, which cannot widen. */
  async function stepUp(refusal: Refusal, asking: () => void): Promise<AccessToken> {
    const { token: stale, challenges } = refusal
    const wanted = challengedScope(challenges)
    const words = scopeWords(wanted)
    const held = inUse.held()
    if (held && held.token.value !== stale?.value && scopeCovers(held.token.scopes, words)) return held.token
    if (scopeCovers(stale?.scopes, words)) throw errors.stepUpRequired(wanted, 'refuses a token that has every scope it asks for')
    const stored = await inUse.readOurs()
    if (stored?.access_token && stored.access_token !== stale?.value && scopeCovers(scopeWords(stored.scope), words)) {
      return inUse.hold(stored, 'stored') as AccessToken
    }
    if (!settings.grant && !settings.login) throw errors.stepUpRequired(wanted, 'asks for a scope that the token does not have')
    if (!stepUps.spend(words)) {
      throw errors.stepUpRequired(wanted, `still asks for more after ${stepUps.most} attempts`)
    }
    const wish = { challenges, refused: true, addedScope: wanted ?? '', stale }
    const { obtain } = await authorizer()
    return inUse.granted(await obtain(wish, settings.login, asking), 'granted')
  }

  async function login(given: LoginOptions = {}): Promise<OAuthStatus> {
    checkScope(given.scope)
    const strategy = given.login ?? settings.login
    if (!strategy && !settings.grant) throw errors.required()
    const stored = await store.read(key)
    const { forgetNo, obtain, probe } = await authorizer()
    const { challenges, refused: asked } = await probe(given.signal)
    const wish: AuthorizationWish = {
      challenges,
      refused: asked,
      scope: given.scope,
      stale: stored?.access_token === undefined ? undefined : { value: stored.access_token },
      registerAnew: given.newRegistration === true
    }
    forgetNo()
    // Who gives up ends it only for itself while another waits for the same one.
    const flight = flights.join(
      `login:${given.scope}`,
      async (asking, abandoned) => inUse.granted(await obtain({ ...wish, signal: abandoned }, strategy, asking), 'stored'),
      given.signal
    )
    await waitFor(flight, { waiter: given.signal, personMs: settings.loginTimeoutMs + endingMs, tooLong: errors.tookTooLong })
    return await status()
  }

  async function logout(): Promise<void> {
    await store.transact(
      key,
      async (lock) => {
        const record = await lock.read()
        if (record) await (await authorizer()).revoke(record)
        await lock.clear()
        // Of the next generation, so that a refresh which another process has still to write is over as well.
        const gone = await lock.read()
        if (gone) await lock.write({ ...gone, generation: (gone.generation ?? 0) + 1 })
      },
      { deadlineMs: settings.lockWaitMs }
    )
    inUse.forget()
  }

  async function status(): Promise<OAuthStatus> {
    return statusOf(settings, await store.read(key))
  }

  return {
    server: settings.server,
    schemes,
    attach: way.attach,
    current: inUse.current,
    renew,
    authorize,
    observe,
    login,
    logout,
    status,
    keepFresh: () => keepFresh(inUse.lookAfter, inUse.idleMs)
  }
}

/** RFC 6749 §5.2: the registration is gone. */
function isForgottenClient(error: OAuthResponseError | undefined): boolean {
  return error?.error === 'invalid_client' || error?.error === 'unauthorized_client'
}

import {
  type AccessToken,
  type AuthChallenge,
  type Dispatch,
  McpAuthError,
  publish,
  type Refusal,
  type Road,
  safeText,
  type TokenRecord,
  type TokenSource
} from '@mcpauth/core'
import { accessTokenOf } from './access-token.ts'
import { addressGuard, guardedNetwork } from './address-guard.ts'
import {
  type AuthorizationContext,
  type AuthorizationOutcome,
  type AuthorizationWish,
  authorizeByGrant,
  authorizeByLogin,
  loginByGrant
} from './authorization.ts'
import { authorizationServerClient } from './authorization-server-client.ts'
import { findTarget } from './authorization-target.ts'
import { identityOfRecord } from './client-identity.ts'
import { discoverResource } from './discovery.ts'
import { dpopNonces } from './dpop.ts'
import { dpopJwkOf, dpopProofs } from './dpop-proofs.ts'
import { createFlights, type Flight, waitFor } from './flights.ts'
import type { GrantRequest } from './grants/grant.ts'
import { refreshTokenGrant } from './grants/refresh-token.ts'
import { belongsToIssuer } from './issuer-binding.ts'
import type { Login } from './login.ts'
import { probeServer } from './login-probe.ts'
import { type OAuthStatus, statusOf } from './oauth-status.ts'
import { checkOptions, checkScope, type OAuthOptions } from './options.ts'
import { type RefreshOutcome, refreshOnce } from './refresh.ts'
import { revokeTokens } from './revocation.ts'
import { challengedScope, scopeCovers, scopeWords } from './scope-selection.ts'
import type { TokenResponse } from './token-response.ts'

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
  /** Renews the token ahead of its end, also while no request is made; until disposed of. It does not keep the process alive. */
  keepFresh(): Disposable
}

/** The token in use, and when to do something about it; milliseconds since the epoch. */
interface HeldToken {
  token: AccessToken
  record: TokenRecord
  renewAtMs: number
  endsAtMs: number
}

/** How often a request may widen one scope at one resource (N29). */
const maxStepUps = 3
/** How long a failed background refresh, or a person's no, is not repeated, in milliseconds. */
const pauseMs = 10_000

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
  const guard = addressGuard({ server: settings.server, dangerouslyAllowHttp: settings.dangerouslyAllowHttp === true })
  const network = authorizationServerClient(dispatchNow, guard)
  const nonces = dpopNonces()
  const proofs = dpopProofs(nonces, now)
  const discovery = { server: settings.server, network, guard }
  const context: AuthorizationContext = { settings, discovery, network, proofs }
  const flights = createFlights<AccessToken>()
  const refreshes = createFlights<RefreshOutcome>()
  const stepUps = new Map<string, number>()

  let roads: ReadonlyArray<{ road: Road; network: Dispatch }> = []
  let unattached: Dispatch | undefined
  let held: HeldToken | undefined
  let loading: Promise<AccessToken | undefined> | undefined
  let loaded = false
  let unsaved: TokenRecord | undefined
  let refused: { refreshToken: string; times: number } | undefined
  let aheadNotBeforeMs = 0
  let lastNo: { atMs: number; error: unknown } | undefined

  /**
   * The network end of the newest road that is open; before there is one, the user's dispatcher. Where nobody chose a dispatcher it is an agent of
   * our own, which checks addresses when it connects.
   */
  function dispatchNow(): Dispatch {
    const open = roads.findLast(({ road }) => !road.closed.aborted)
    if (open) return open.network
    const { dispatcher } = options
    unattached ??= guardedNetwork(guard, dispatcher && { network: (o, h) => dispatcher.dispatch(o, h) })
    return unattached
  }

  function attach(road: Road): void {
    roads = [...roads.filter((known) => !known.road.closed.aborted), { road, network: guardedNetwork(guard, road) }]
  }

  function current(): AccessToken | undefined | Promise<AccessToken | undefined> {
    if (held === undefined) return loaded ? undefined : load()
    const at = now()
    if (at < held.renewAtMs) return held.token
    if (at < held.endsAtMs) {
      renewInBackground(held, at)
      return held.token
    }
    return canRenew(held.record) ? renewExpired(held) : undefined
  }

  /** The first read of the store; many requests share it. */
  function load(): Promise<AccessToken | undefined> {
    loading ??= store
      .read(key)
      .then((record) => {
        loaded = true
        if (!held) hold(record, 'stored')
        return current()
      })
      .finally(() => {
        loading = undefined
      })
    return loading
  }

  function hold(record: TokenRecord | undefined, origin: AccessToken['origin']): AccessToken | undefined {
    const token = accessTokenOf(record, origin)
    if (!record || !token) {
      held = undefined
      return undefined
    }
    // The same token, met again in the store, keeps what is known about it.
    if (held?.token.value === token.value && held.token.generation === token.generation) return held.token
    loaded = true
    const endsAtMs = token.expiresAtMs ?? Number.POSITIVE_INFINITY
    held = { token, record, endsAtMs, renewAtMs: renewalOf(record, endsAtMs) }
    return token
  }

  /** At most a fifth of the lifetime ahead, so that a short-lived token is not renewed all the time. */
  function renewalOf(record: TokenRecord, endsAtMs: number): number {
    if (!canRenew(record)) return endsAtMs
    const lifetimeMs = record.lifetime === undefined ? endsAtMs - now() : record.lifetime * 1000
    return endsAtMs - Math.min(settings.refreshAheadMs, Math.max(0, lifetimeMs) / 5)
  }

  /** Without a person. */
  function canRenew(record: TokenRecord): boolean {
    if (record.refresh_token !== undefined) return refused?.refreshToken !== record.refresh_token || refused.times < 2
    return settings.grant !== undefined && settings.grant.interactive !== true
  }

  function renewInBackground(stale: HeldToken, atMs: number): void {
    if (atMs < aheadNotBeforeMs) return
    // One failure must not become one attempt per request.
    aheadNotBeforeMs = atMs + pauseMs
    renewAhead(stale).then(
      () => {
        aheadNotBeforeMs = 0
      },
      (error) => publish('mcpauth:request:refused', { server: key.url, what: 'refresh ahead', code: codeOf(error) })
    )
  }

  /** With the stored endpoint and client, without discovery. */
  async function renewAhead(stale: HeldToken): Promise<AccessToken | undefined> {
    if (stale.record.refresh_token !== undefined) return taken(await refresh(stale.token, async () => true))
    const { grant } = settings
    return grant && grantedToken(await authorizeByGrant(context, grant, { challenges: [], stale: stale.token }), 'refreshed')
  }

  /** A token that is over is renewed before the request is sent; what cannot be renewed is left to the server's challenge. */
  async function renewExpired(stale: HeldToken): Promise<AccessToken | undefined> {
    const flight = flights.join(`token:${stale.token.generation}`, async () => (await renewAhead(stale)) ?? raise(notRenewable()))
    try {
      return await flight.promise
    } catch (error) {
      if (codeOf(error) === 'MCPAUTH_LOGIN_REQUIRED') return undefined
      throw error
    }
  }

  /** One refresh per generation, whoever asks. */
  function refresh(stale: AccessToken | undefined, mayRefresh: (record: TokenRecord) => Promise<boolean>): Promise<RefreshOutcome> {
    return refreshes.join(`${stale?.generation ?? 'none'}`, () =>
      refreshOnce({ store, key, stale, now, unsaved: () => unsaved, mayRefresh, send: sendRefresh })
    ).promise
  }

  /** The token of a refresh, held from now on; undefined when there is none without a new grant. */
  function taken(outcome: RefreshOutcome): AccessToken | undefined {
    if (outcome.kind === 'impossible') {
      if (outcome.why === 'refused') noteRefused(outcome.record)
      if (outcome.why === 'dead') {
        held = undefined
        unsaved = undefined
      }
      return undefined
    }
    if (outcome.kind === 'refreshed') {
      unsaved = outcome.saved ? undefined : outcome.record
      publish('mcpauth:token:refreshed', { server: key.url, generation: outcome.record.generation })
      return hold(outcome.record, 'refreshed')
    }
    publish('mcpauth:token:adopted', { server: key.url, generation: outcome.record.generation })
    return hold(outcome.record, 'stored')
  }

  function noteRefused(record: TokenRecord | undefined): void {
    const refreshToken = record?.refresh_token
    if (refreshToken === undefined) return
    refused = { refreshToken, times: refused?.refreshToken === refreshToken ? refused.times + 1 : 1 }
  }

  async function sendRefresh(record: TokenRecord, refreshToken: string): Promise<TokenResponse> {
    const authorizationServer = await serverOfRecord(record)
    const identity = await identityOfRecord(settings, record.client, authorizationServer)
    if (!identity) throw notRenewable()
    const jwk = dpopJwkOf(record)
    const ask: GrantRequest = {
      server: settings.server,
      authorizationServer,
      client: { client_id: identity.client.client_id },
      clientAuth: identity.clientAuth,
      network,
      resource: settings.dangerouslyOmitResource ? undefined : (record.resource ?? settings.resource),
      scope: settings.scopeOnRefresh === 'requested' ? record.requested_scope : undefined,
      dpop: jwk && proofs(jwk),
      env: settings.env,
      now
    }
    return await refreshTokenGrant(ask, refreshToken)
  }

  /** The endpoint that the tokens came from. A record without one was written elsewhere: then only what the user says, or the server's own origin, will do. */
  async function serverOfRecord(record: TokenRecord): Promise<GrantRequest['authorizationServer']> {
    const endpoint = record.token_endpoint ?? settings.tokenUrl
    if (endpoint !== undefined) return { issuer: record.issuer ?? new URL(endpoint).origin, token_endpoint: endpoint }
    const { authorizationServer } = await findTarget(settings, discovery, { url: undefined, allowForeign: false }, record.issuer)
    if (!belongsToIssuer(record, [authorizationServer.issuer], settings.server)) throw notRenewable()
    return authorizationServer
  }

  /** Before anything goes to an authorization server on a server's 401, the server says again whose it is. */
  function stillOurs(challenges: readonly AuthChallenge[]): (record: TokenRecord) => Promise<boolean> {
    return async (record) => {
      if (settings.tokenUrl !== undefined && record.token_endpoint !== undefined && record.token_endpoint !== settings.tokenUrl)
        return false
      const url = challenges.map(({ parameters }) => parameters.resource_metadata).find((value) => value !== undefined)
      const metadata = await discoverResource({ ...discovery, signal: AbortSignal.timeout(30_000) }, { url, allowForeign: false })
      return metadata === undefined || belongsToIssuer(record, metadata.authorizationServers, settings.server)
    }
  }

  function renew(refusal: Refusal, waiter?: AbortSignal): Promise<AccessToken> {
    if (refusal.cause === 'nonce' && refusal.token) return Promise.resolve(refusal.token)
    if (refusal.cause === 'scope') {
      const name = `scope:${refusal.token?.generation ?? 'none'}:${challengedScope(refusal.challenges) ?? ''}`
      return patiently(
        flights.join(name, (asking) => stepUp(refusal, asking)),
        waiter
      )
    }
    return patiently(
      flights.join(`token:${refusal.token?.generation ?? 'none'}`, (asking) => replace(refusal, asking)),
      waiter
    )
  }

  function patiently(flight: Flight<AccessToken>, waiter: AbortSignal | undefined): Promise<AccessToken> {
    return waitFor(flight, { waiter, personMs: settings.loginWaitMs, tooLong: loginPending })
  }

  /** Another token in place of a refused one: one that is there already, a refreshed one, a granted one. */
  async function replace(refusal: Refusal, asking: () => void): Promise<AccessToken> {
    const { token: stale, challenges } = refusal
    if (held && held.token.value !== stale?.value && now() < held.endsAtMs) return held.token
    const record = await store.read(key)
    let registerAnew = false
    if (record?.access_token !== undefined || record?.refresh_token !== undefined || unsaved) {
      // A refreshed token that this server has never taken: another refresh would be refused as well, and so for ever.
      const useless = stale?.origin === 'refreshed' && !refusal.accepted
      const outcome = await refresh(stale, useless ? async () => false : mayRefreshNow(challenges))
      const token = taken(outcome)
      if (token) return token
      registerAnew = outcome.kind === 'impossible' && isForgottenClient(outcome.error?.error)
    }
    return await obtain({ challenges, stale, registerAnew }, asking)
  }

  function mayRefreshNow(challenges: readonly AuthChallenge[]): (record: TokenRecord) => Promise<boolean> {
    const ours = stillOurs(challenges)
    return async (record) => (refused?.refreshToken === record.refresh_token && (refused?.times ?? 0) >= 2 ? false : await ours(record))
  }

  /** A new grant, by whatever way the user has given. */
  async function obtain(
    wish: AuthorizationWish,
    asking: () => void,
    origin: AccessToken['origin'] = 'granted',
    login: Login | undefined = settings.login
  ): Promise<AccessToken> {
    const { grant } = settings
    if (grant && grant.interactive !== true) return grantedToken(await authorizeByGrant(context, grant, wish), origin)
    if (!grant && !login) throw loginRequired()
    if (lastNo && now() - lastNo.atMs < pauseMs && now() >= lastNo.atMs) throw lastNo.error
    asking()
    const limit = AbortSignal.timeout(settings.loginTimeoutMs)
    const bounded = { ...wish, signal: wish.signal ? AbortSignal.any([wish.signal, limit]) : limit }
    try {
      return grantedToken(
        await (grant ? loginByGrant(context, grant, bounded) : authorizeByLogin(context, login as Login, bounded)),
        origin
      )
    } catch (error) {
      const failure = limit.aborted ? loginTookTooLong() : error
      // Without a pause, every request after a no would open another tab.
      lastNo = { atMs: now(), error: failure }
      throw failure
    }
  }

  /** @param origin Whether a refusal has just asked for it: only then is a second refusal of the same token hopeless. */
  function grantedToken({ kind, record }: AuthorizationOutcome, origin: AccessToken['origin']): AccessToken {
    unsaved = undefined
    refused = undefined
    return hold(record, kind === 'granted' ? origin : 'stored') as AccessToken
  }

  /** A wider scope (N28, N29): never by refresh, which cannot widen. */
  async function stepUp(refusal: Refusal, asking: () => void): Promise<AccessToken> {
    const wanted = challengedScope(refusal.challenges)
    const words = scopeWords(wanted)
    if (held && held.token.value !== refusal.token?.value && scopeCovers(held.token.scopes, words)) return held.token
    if (scopeCovers(refusal.token?.scopes, words)) {
      throw stepUpRequired(wanted, 'refuses a token that has every scope it asks for')
    }
    const name = `${settings.resource ?? key.url} ${words.toSorted().join(' ')}`
    const times = (stepUps.get(name) ?? 0) + 1
    if (times > maxStepUps) throw stepUpRequired(wanted, `still asks for more after ${maxStepUps} attempts`)
    const wish = { challenges: refusal.challenges, addedScope: wanted, stale: refusal.token }
    const stored = await store.read(key)
    if (stored?.access_token && stored.access_token !== refusal.token?.value && scopeCovers(scopeWords(stored.scope), words)) {
      return hold(stored, 'stored') as AccessToken
    }
    if (!settings.grant && !settings.login) throw stepUpRequired(wanted, 'asks for a scope that the token does not have')
    stepUps.set(name, times)
    return await obtain(wish, asking)
  }

  async function login(given: LoginOptions = {}): Promise<OAuthStatus> {
    checkScope(given.scope)
    const strategy = given.login ?? settings.login
    if (!strategy && !settings.grant) throw loginRequired()
    const stored = await store.read(key)
    const challenges = await probeServer(network, settings.server, given.signal)
    const wish: AuthorizationWish = {
      challenges,
      scope: given.scope,
      stale: stored?.access_token === undefined ? undefined : { value: stored.access_token },
      registerAnew: given.newRegistration === true,
      signal: given.signal
    }
    lastNo = undefined
    const flight = flights.join('login', (asking) => obtain(wish, asking, 'stored', strategy))
    await waitFor(flight, { waiter: given.signal, personMs: settings.loginTimeoutMs + pauseMs, tooLong: loginTookTooLong })
    return statusOf(settings, held?.record)
  }

  async function logout(): Promise<void> {
    await store.transact(
      key,
      async (lock) => {
        const record = await lock.read()
        if (record) await revokeTokens(context, record)
        await lock.clear()
      },
      { deadlineMs: 180_000 }
    )
    held = undefined
    unsaved = undefined
    loaded = true
  }

  async function status(): Promise<OAuthStatus> {
    return statusOf(settings, await store.read(key))
  }

  function keepFresh(): Disposable {
    let timer: NodeJS.Timeout | undefined
    function tick(): void {
      void Promise.resolve(current())
        .catch(() => undefined)
        .then(() => {
          const waitMs = held ? Math.max(pauseMs, held.renewAtMs - now()) : 60_000
          // A timer cannot wait longer than 2^31 ms, and after a sleep an hour is not an hour.
          timer = setTimeout(tick, Math.min(waitMs, 60_000)).unref()
        })
    }
    tick()
    return { [Symbol.dispose]: () => clearTimeout(timer) }
  }

  function authorize(token: AccessToken, request: { method: string; url: URL }): Record<string, string> {
    const jwk = token.scheme === 'DPoP' ? dpopJwkOf(held?.record) : undefined
    if (!jwk) return { authorization: `Bearer ${token.value}` }
    return { authorization: `DPoP ${token.value}`, dpop: proofs(jwk).proof({ ...request, accessToken: token.value }) }
  }

  function command(more = ''): string {
    const profile = key.profile === undefined ? '' : ` --profile ${key.profile}`
    return `npx @mcpauth/cli login ${settings.server.href}${profile}${more}`
  }

  function loginRequired(): McpAuthError {
    return new McpAuthError('MCPAUTH_LOGIN_REQUIRED', `${settings.server.host} needs a login, and there is no usable token`, {
      hint: `run: ${command()} (or pass login: browserLogin())`
    })
  }

  function loginPending(): McpAuthError {
    return new McpAuthError(
      'MCPAUTH_LOGIN_PENDING',
      `the login to ${settings.server.host} is not finished; this request has not been sent`,
      {
        hint: 'finish the login in the browser and try again; call login() before connect() to wait as long as it takes'
      }
    )
  }

  function loginTookTooLong(): McpAuthError {
    return new McpAuthError('MCPAUTH_LOGIN_FAILED', `nobody finished the login to ${settings.server.host} in time`, {
      hint: `if the browser showed an error page, the client registration is suspect: ${command(' --new-registration')}`
    })
  }

  function stepUpRequired(wanted: string | undefined, fact: string): McpAuthError {
    const scope = safeText(wanted)
    return new McpAuthError('MCPAUTH_STEP_UP_REQUIRED', `${settings.server.host} ${fact}${scope ? `: ${scope}` : ''}`, {
      hint: `run: ${command(scope ? ` --scope "${scope.replace(/["$`\\!]/g, '')}"` : '')}`
    })
  }

  function notRenewable(): McpAuthError {
    return new McpAuthError('MCPAUTH_LOGIN_REQUIRED', `the token for ${settings.server.host} cannot be renewed`, {
      hint: `run: ${command()}`
    })
  }

  return {
    server: settings.server,
    schemes: settings.dpop ? ['dpop', 'bearer'] : ['bearer'],
    attach,
    current,
    renew,
    authorize,
    observe: ({ url }, { headers }) => {
      if (settings.dpop) nonces.observe(url, headers)
    },
    login,
    logout,
    status,
    keepFresh
  }
}

/** RFC 6749 §5.2: the registration is gone. */
function isForgottenClient(error: string | undefined): boolean {
  return error === 'invalid_client' || error === 'unauthorized_client'
}

function codeOf(error: unknown): string | undefined {
  return McpAuthError.is(error) ? error.code : undefined
}

function raise(error: Error): never {
  throw error
}

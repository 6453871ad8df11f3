import { type AccessToken, McpAuthError, publish, type Refusal, type TokenRecord, type TokenSource } from '@mcpauth/core'
import { describeKey } from '@mcpauth/token-store'
import type { AuthorizationOutcome } from './authorization.ts'
import type { AuthorizationWish } from './authorization-request.ts'
import type { Authorizer } from './authorizer.ts'
import { dpopNonces } from './dpop.ts'
import { createFlights, type Flight, waitFor } from './flights.ts'
import { type HeldToken, heldToken } from './held-token.ts'
import { keepFresh } from './keep-fresh.ts'
import { loadAsking } from './load-asking.ts'
import type { Login } from './login.ts'
import { loginErrors } from './login-errors.ts'
import type { OAuthResponseError } from './oauth-response-error.ts'
import { type OAuthStatus, statusOf } from './oauth-status.ts'
import { checkOptions, checkScope, type OAuthOptions } from './options.ts'
import { loadProtocol } from './protocol.ts'
import type { RefreshOutcome } from './refresh.ts'
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
  /** Renews the token ahead of its end, also while no request is made; until disposed of. It does not keep the process alive. */
  keepFresh(): Disposable
}

/** How long a background refresh that failed is not repeated, in milliseconds. */
const pauseMs = 10_000
/** When the first request is likely to be over, in milliseconds. */
const loadAheadMs = 1_000

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
  const { refresh, isWornOut, unsaved, reset } = refresher(settings, { send: async (...request) => (await authorizer()).send(...request) })
  const stepUps = stepUpLimit(now)

  let held: HeldToken | undefined
  let loading: Promise<AccessToken | undefined> | undefined
  let loaded = false
  let aheadNotBeforeMs = 0
  let authorizing: Authorizer | undefined

  /** Loaded when there is first something to ask. */
  async function authorizer(): Promise<Authorizer> {
    const asking = await loadAsking()
    authorizing ??= asking.authorizer(settings, way, nonces, errors)
    return authorizing
  }

  function current(): AccessToken | undefined | Promise<AccessToken | undefined> {
    if (held === undefined) return loaded ? undefined : load()
    const at = now()
    if (at < held.renewAtMs) return held.token
    if (at < held.endsAtMs) {
      renewInBackground(held, at)
      return held.token
    }
    return isRenewable(held.record) ? renewExpired(held) : undefined
  }

  /** The first read of the store; many requests share it. */
  function load(): Promise<AccessToken | undefined> {
    loading ??= readFirst().finally(() => {
      loading = undefined
    })
    return loading
  }

  async function readFirst(): Promise<AccessToken | undefined> {
    const record = await readOurs()
    loaded = true
    if (record && !held) hold(record, 'stored')
    if (held) loadAhead()
    return await current()
  }

  /** A process that runs for weeks must not find, when it first refreshes, that an update has replaced the files it has not loaded yet. */
  function loadAhead(): void {
    setTimeout(() => void Promise.all([loadAsking(), loadProtocol()]).catch(() => undefined), loadAheadMs).unref()
  }

  /** What is stored; not what came from a secret that has been replaced. */
  async function readOurs(): Promise<TokenRecord | undefined> {
    const record = await store.read(key)
    return record && (settings.grant?.seed === undefined || (await isOurs(record))) ? record : undefined
  }

  async function isOurs(record: TokenRecord): Promise<boolean> {
    return (await authorizer()).isOurs(record)
  }

  /** Takes a record into use. */
  function hold(record: TokenRecord, origin: AccessToken['origin']): AccessToken | undefined {
    const { refreshAheadMs } = settings
    const next = heldToken(record, origin, { refreshAheadMs, nowMs: now(), renewable: isRenewable(record), owner: describeKey(key) })
    // The same token, met again in the store, keeps what is known about it.
    const same = next && held?.token.value === next.token.value && held.token.generation === next.token.generation
    if (!same) held = next
    loaded = true
    if (held) bind(held.token, record)
    return held?.token
  }

  /** Without a person. */
  function isRenewable(record: TokenRecord): boolean {
    if (record.refresh_token !== undefined) return !isWornOut(record.refresh_token)
    return settings.grant !== undefined && settings.grant.interactive !== true
  }

  function renewInBackground(stale: HeldToken, atMs: number): void {
    if (atMs < aheadNotBeforeMs || !isRenewable(stale.record)) return
    // One failure must not become one attempt per request.
    aheadNotBeforeMs = atMs + pauseMs
    renewAhead(stale).then(
      (token) => {
        if (token) aheadNotBeforeMs = 0
      },
      (error) => publish('mcpauth:request:refused', { server: key.url, what: 'the refresh ahead of expiry', code: codeOf(error) })
    )
  }

  /** With the stored endpoint and client, without discovery. */
  async function renewAhead(stale: HeldToken): Promise<AccessToken | undefined> {
    if (stale.record.refresh_token !== undefined) return taken(await refresh(stale.token, isOurs))
    const { grant } = settings
    if (!grant) return undefined
    const { authorizeByGrant } = await authorizer()
    return granted(await authorizeByGrant(grant, { challenges: [], refused: true, stale: stale.token }), 'refreshed')
  }

  /** A token that is over is renewed before the request is sent; what cannot be renewed is left to the server's challenge. */
  async function renewExpired(stale: HeldToken): Promise<AccessToken | undefined> {
    const renewed = flights.join(`expired:${stale.token.generation}`, async () => (await renewAhead(stale)) ?? raise(errors.notRenewable()))
    try {
      return await renewed.promise
    } catch (error) {
      if (codeOf(error) === 'MCPAUTH_LOGIN_REQUIRED') return undefined
      throw error
    }
  }

  /** The token that a refresh has brought, held from now on; undefined when only a new grant can bring one. */
  function taken(outcome: RefreshOutcome): AccessToken | undefined {
    switch (outcome.kind) {
      case 'refreshed':
        return hold(outcome.record, 'refreshed')
      case 'adopted':
        return hold(outcome.record, 'stored')
      case 'impossible':
        if (outcome.why === 'dead') held = undefined
        return undefined
    }
  }

  function renew(refusal: Refusal, waiter?: AbortSignal): Promise<AccessToken> {
    const generation = refusal.token?.generation ?? 'none'
    switch (refusal.cause) {
      case 'nonce':
        // `observe` has kept it; the same token goes with another proof.
        return refusal.token ? Promise.resolve(refusal.token) : Promise.reject(errors.required())
      case 'scope':
        return patiently(
          flights.join(`scope:${generation}:${challengedScope(refusal.challenges) ?? ''}`, (asking) => stepUp(refusal, asking)),
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
    if (held && held.token.value !== stale?.value && now() < held.endsAtMs) return held.token
    const { isStillOurs, obtain } = await authorizer()
    let registerAnew = false
    if (hasTokens(await readOurs()) || unsaved()) {
      // A refreshed token that this server has never taken: another refresh would be refused as well, and so for ever.
      const useless = stale?.origin === 'refreshed' && !refusal.accepted
      const mayRefresh = async (record: TokenRecord): Promise<boolean> =>
        !useless && !isWornOut(record.refresh_token) && (await isStillOurs(record, challenges))
      const outcome = await refresh(stale, mayRefresh)
      const token = taken(outcome)
      if (token) return token
      const failure = outcome.kind === 'impossible' ? outcome : undefined
      if (!settings.grant && !settings.login) throw errors.required(failure?.error)
      registerAnew = failure?.why === 'refused' && isForgottenClient(failure.error)
    }
    return granted(await obtain({ challenges, refused: true, stale, registerAnew }, settings.login, asking), 'granted')
  }

  /** A wider scope (N28, N29): never by refresh, which cannot widen. */
  async function stepUp(refusal: Refusal, asking: () => void): Promise<AccessToken> {
    const { token: stale, challenges } = refusal
    const wanted = challengedScope(challenges)
    const words = scopeWords(wanted)
    if (held && held.token.value !== stale?.value && scopeCovers(held.token.scopes, words)) return held.token
    if (scopeCovers(stale?.scopes, words)) throw errors.stepUpRequired(wanted, 'refuses a token that has every scope it asks for')
    const stored = await store.read(key)
    if (stored?.access_token && stored.access_token !== stale?.value && scopeCovers(scopeWords(stored.scope), words)) {
      return hold(stored, 'stored') as AccessToken
    }
    if (!settings.grant && !settings.login) throw errors.stepUpRequired(wanted, 'asks for a scope that the token does not have')
    if (!stepUps.spend(settings.resource ?? key.url, words)) {
      throw errors.stepUpRequired(wanted, `still asks for more after ${stepUps.most} attempts`)
    }
    const wish = { challenges, refused: true, addedScope: wanted ?? '', stale }
    const { obtain } = await authorizer()
    return granted(await obtain(wish, settings.login, asking), 'granted')
  }

  /** @param origin `granted` when a refusal has just asked for it: only then is a second refusal of the same token hopeless. */
  function granted({ kind, record }: AuthorizationOutcome, origin: AccessToken['origin']): AccessToken {
    reset()
    return hold(record, kind === 'granted' ? origin : 'stored') as AccessToken
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
      registerAnew: given.newRegistration === true,
      signal: given.signal
    }
    forgetNo()
    const flight = flights.join(`login:${given.scope ?? ''}`, async (asking) => granted(await obtain(wish, strategy, asking), 'stored'))
    await waitFor(flight, { waiter: given.signal, personMs: settings.loginTimeoutMs + pauseMs, tooLong: errors.tookTooLong })
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
    held = undefined
    reset()
    loaded = true
  }

  async function status(): Promise<OAuthStatus> {
    return statusOf(settings, await store.read(key))
  }

  return {
    server: settings.server,
    schemes,
    attach: way.attach,
    current,
    renew,
    authorize,
    observe,
    login,
    logout,
    status,
    keepFresh: () => keepFresh(current, () => (held ? Math.max(pauseMs, held.renewAtMs - now()) : Number.POSITIVE_INFINITY))
  }
}

function hasTokens(record: TokenRecord | undefined): boolean {
  return record?.access_token !== undefined || record?.refresh_token !== undefined
}

/** RFC 6749 §5.2: the registration is gone. */
function isForgottenClient(error: OAuthResponseError | undefined): boolean {
  return error?.error === 'invalid_client' || error?.error === 'unauthorized_client'
}

function codeOf(error: unknown): string | undefined {
  return McpAuthError.is(error) ? error.code : undefined
}

function raise(error: Error): never {
  throw error
}

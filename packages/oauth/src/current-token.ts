import { type AccessToken, McpAuthError, publish, type TokenRecord } from '@mcpauth/core'
import { describeKey } from '@mcpauth/token-store'
import { hasTokens } from './access-token.ts'
import type { AuthorizationOutcome } from './authorization.ts'
import type { Authorizer } from './authorizer.ts'
import { createFlights } from './flights.ts'
import { type HeldToken, heldToken } from './held-token.ts'
import { isAskedFor } from './issuer-binding.ts'
import { loadAsking } from './load-asking.ts'
import type { Settings } from './options.ts'
import { loadProtocol } from './protocol.ts'
import type { RefreshOutcome } from './refresh.ts'
import type { Refresher } from './refresher.ts'
import type { TokenHeaders } from './token-headers.ts'

/** The token that requests go with: read when there is first a request, renewed ahead of its end, and renewed when it is over. */
export interface CurrentToken {
  /** Synchronous while the token is fresh. */
  current(): AccessToken | undefined | Promise<AccessToken | undefined>
  /** What {@link current} does, for somebody who sends no requests: no refusal would tell him of another login, or that a refresh token was left alone for too long. */
  lookAfter(): AccessToken | undefined | Promise<AccessToken | undefined>
  /** The one in use, also when it is over. */
  held(): HeldToken | undefined
  /** Takes a record into use. */
  hold(record: TokenRecord, origin: AccessToken['origin']): AccessToken | undefined
  /** The token that a refresh has brought, held from now on; undefined when only a new grant can bring one. */
  taken(outcome: RefreshOutcome): AccessToken | undefined
  /** @param origin `granted` when a refusal has just asked for it: only then is a second refusal of the same token hopeless. */
  granted(outcome: AuthorizationOutcome, origin: AccessToken['origin']): AccessToken
  /** After a logout. */
  forget(): void
  /** What is stored; not what is for another resource or issuer than the options name, nor what came from a secret that has been replaced. */
  readOurs(): Promise<TokenRecord | undefined>
  /** How long there is nothing to do, in milliseconds. */
  idleMs(): number
}

/** What it renews the token with. */
export interface Renewal {
  refreshes: Refresher
  authorizer: () => Promise<Authorizer>
  bind: TokenHeaders['bind']
}

/** How long a background refresh that failed is not repeated, in milliseconds. */
const pauseMs = 10_000
/** A refresh token that is not used idles out at some servers after days; in milliseconds. */
const longestIdleMs = 86_400_000
/** When the first request is likely to be over, in milliseconds. */
const loadAheadMs = 1_000

/** Makes it for one token source. */
export function currentToken(settings: Settings, { refreshes, authorizer, bind }: Renewal): CurrentToken {
  const { key, store, now } = settings
  const flights = createFlights<AccessToken | undefined>()
  let held: HeldToken | undefined
  let loading: Promise<AccessToken | undefined> | undefined
  let loaded = false
  let aheadNotBeforeMs = 0

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

  function lookAfter(): AccessToken | undefined | Promise<AccessToken | undefined> {
    if (held === undefined) loaded = false
    else if (isIdle(held.record)) renewInBackground(held, now())
    return current()
  }

  function isIdle({ refresh_token, last_refreshed }: TokenRecord): boolean {
    return refresh_token !== undefined && now() - Date.parse(last_refreshed ?? '') >= longestIdleMs
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
    // A login or a logout meanwhile knows better.
    if (record && !loaded) hold(record, 'stored')
    loaded = true
    if (held) loadAhead()
    return await current()
  }

  /** A process that runs for weeks must not find, when it first refreshes, that an update has replaced the files it has not loaded yet. */
  function loadAhead(): void {
    setTimeout(() => void Promise.all([loadAsking(), loadProtocol()]).catch(() => undefined), loadAheadMs).unref()
  }

  async function readOurs(): Promise<TokenRecord | undefined> {
    const record = await store.read(key)
    return record && (await isMeant(record)) ? record : undefined
  }

  /** Whether these are tokens that the options ask for; where tokens come from a secret, from the one that there is now. */
  async function isMeant(record: TokenRecord): Promise<boolean> {
    return isAskedFor(record, settings) && (settings.grant?.seed === undefined || (await isOurs(record)))
  }

  async function isOurs(record: TokenRecord): Promise<boolean> {
    return (await authorizer()).isOurs(record)
  }

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
    if (record.refresh_token !== undefined) return !refreshes.isWornOut(record.refresh_token)
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
    if (stale.record.refresh_token !== undefined) {
      const outcome = await refreshes.refresh(stale.token, isOurs)
      if (outcome.kind !== 'adopted' || (await isMeant(outcome.record))) return taken(outcome)
    }
    const { grant } = settings
    if (!grant) return undefined
    const { authorizeByGrant } = await authorizer()
    return granted(await authorizeByGrant(grant, { challenges: [], refused: true, stale: stale.token }), 'refreshed')
  }

  /** A token that is over is renewed before the request is sent; what cannot be renewed is left to the server's challenge. */
  async function renewExpired(stale: HeldToken): Promise<AccessToken | undefined> {
    const renewed = flights.join(String(stale.token.generation), () => renewAhead(stale))
    try {
      return await renewed.promise
    } catch (error) {
      if (codeOf(error) === 'MCPAUTH_LOGIN_REQUIRED') return undefined
      throw error
    }
  }

  function taken(outcome: RefreshOutcome): AccessToken | undefined {
    switch (outcome.kind) {
      case 'refreshed':
        return hold(outcome.record, 'refreshed')
      case 'adopted':
        return hold(outcome.record, 'stored')
      case 'impossible':
        // The grant is dead, or another process has logged out.
        if (!hasTokens(outcome.record)) held = undefined
        return undefined
    }
  }

  function granted({ kind, record }: AuthorizationOutcome, origin: AccessToken['origin']): AccessToken {
    refreshes.reset()
    return hold(record, kind === 'granted' ? origin : 'stored') as AccessToken
  }

  function forget(): void {
    held = undefined
    refreshes.reset()
    loaded = true
  }

  function idleMs(): number {
    return held ? Math.max(pauseMs, held.renewAtMs - now()) : Number.POSITIVE_INFINITY
  }

  return { current, lookAfter, held: () => held, hold, taken, granted, forget, readOurs, idleMs }
}

function codeOf(error: unknown): string | undefined {
  return McpAuthError.is(error) ? error.code : undefined
}

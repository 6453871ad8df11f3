import { type AccessToken, publish, type TokenRecord } from '@mcpauth/core'
import { createFlights } from './flights.ts'
import { loadAsking } from './load-asking.ts'
import { OAuthResponseError } from './oauth-response-error.ts'
import type { Settings } from './options.ts'
import type { RecordRefresh } from './record-refresh.ts'
import { type RefreshOutcome, refreshOnce, saveLater } from './refresh.ts'
import { refusalLimit } from './refusal-limit.ts'

/** The refreshes of one process: one per generation, and none where it can only do harm. */
export interface Refresher {
  refresh(stale: AccessToken | undefined, mayRefresh: (record: TokenRecord) => Promise<boolean>): Promise<RefreshOutcome>
  /** A refresh token that its server has refused twice, without saying that it is dead. */
  isWornOut(refreshToken: string | undefined): boolean
  /** A refreshed record that could not be written yet, and is newer than the stored one. */
  unsaved(): TokenRecord | undefined
  /** There is a new grant: what was known about the old one counts no more. */
  reset(): void
}

/** A server may ask to be left alone, but not for ever; in milliseconds. */
const longestPauseMs = 300_000

/** Makes the refresher of one token source. */
export function refresher(settings: Settings, { send }: Pick<RecordRefresh, 'send'>): Refresher {
  const { store, key, now, lockWaitMs } = settings
  const flights = createFlights<RefreshOutcome>()
  let unsaved: TokenRecord | undefined
  const refusals = refusalLimit()
  /** A server that asked to be left alone. */
  let quiet: { sinceMs: number; forMs: number; error: unknown } | undefined

  async function refresh(stale: AccessToken | undefined, mayRefresh: (record: TokenRecord) => Promise<boolean>): Promise<RefreshOutcome> {
    // A clock that is set back must not make it longer.
    if (quiet && Math.abs(now() - quiet.sinceMs) < quiet.forMs) throw quiet.error
    const task = { store, key, stale, now, lockWaitMs, unsaved: () => unsaved, mayRefresh, send }
    const flight = flights.join(String(stale?.generation), async () => {
      // A helper sees only what is on disk.
      const isolated = settings.refreshIsolation === 'process' && !(await store.isInMemory(key))
      return noted(await (isolated ? (await loadAsking()).refreshIsolated(task, settings) : refreshOnce(task)))
    })
    try {
      return await flight.promise
    } catch (error) {
      const waitMs = error instanceof OAuthResponseError ? error.retryAfterMs : undefined
      if (waitMs !== undefined) quiet = { sinceMs: now(), forMs: Math.min(waitMs, longestPauseMs), error }
      throw error
    }
  }

  /** Once per refresh, however many wait for it. */
  function noted(outcome: RefreshOutcome): RefreshOutcome {
    if (outcome.kind !== 'impossible') publish(`mcpauth:token:${outcome.kind}`, { server: key.url, generation: outcome.record.generation })
    if (outcome.kind === 'refreshed') {
      unsaved = outcome.saved ? undefined : outcome.record
      if (!outcome.saved) saveLater(store, key, () => unsaved, whenSaved)
    }
    if (outcome.kind === 'impossible' && outcome.why === 'dead') unsaved = undefined
    refusals.note(outcome)
    return outcome
  }

  function whenSaved(record: TokenRecord): void {
    if (unsaved === record) unsaved = undefined
  }

  return {
    refresh,
    isWornOut: refusals.isWornOut,
    unsaved: () => unsaved,
    reset: () => {
      unsaved = quiet = undefined
      refusals.reset()
    }
  }
}

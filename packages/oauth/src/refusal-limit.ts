import type { RefreshOutcome } from './refresh.ts'

/** Keeps a refresh token that is refused, without being called dead, from being sent for ever. */
export interface RefusalLimit {
  note(outcome: RefreshOutcome): void
  /** Its server has refused it twice. */
  isWornOut(refreshToken: string | undefined): boolean
  /** There is a new grant. */
  reset(): void
}

/** How often a refusal is put to the test. */
const most = 2

/** Makes the limit of one grant: only its newest refresh token is counted. */
export function refusalLimit(): RefusalLimit {
  let refused: { refreshToken: string; times: number } | undefined
  return {
    note(outcome) {
      const refreshToken = outcome.record?.refresh_token
      if (outcome.kind !== 'impossible' || outcome.why !== 'refused' || refreshToken === undefined) return
      refused = { refreshToken, times: refused?.refreshToken === refreshToken ? refused.times + 1 : 1 }
    },
    isWornOut: (refreshToken) => refused !== undefined && refused.refreshToken === refreshToken && refused.times >= most,
    reset() {
      refused = undefined
    }
  }
}

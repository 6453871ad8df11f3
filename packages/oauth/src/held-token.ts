import type { AccessToken, TokenRecord } from '@mcpauth/core'
import { accessTokenOf } from './access-token.ts'

/** The token in use, and when to do something about it; milliseconds since the epoch. */
export interface HeldToken {
  readonly token: AccessToken
  readonly record: TokenRecord
  /** From here on it is renewed while it still works. */
  readonly renewAtMs: number
  /** From here on it is not sent any more. */
  readonly endsAtMs: number
}

/** What decides when a token is renewed. */
export interface RenewalRule {
  refreshAheadMs: number
  nowMs: number
  /** Whether it can be renewed without a person. */
  renewable: boolean
  /** Whose token it is. */
  owner: string
}

/** Takes a record into use; undefined when there is no token in it. */
export function heldToken(record: TokenRecord, origin: AccessToken['origin'], rule: RenewalRule): HeldToken | undefined {
  const token = accessTokenOf(record, origin, rule.owner)
  if (!token) return undefined
  const endsAtMs = token.expiresAtMs ?? Number.POSITIVE_INFINITY
  return { token, record, endsAtMs, renewAtMs: rule.renewable ? endsAtMs - aheadMs(record, endsAtMs, rule) : endsAtMs }
}

/** At most a fifth of the lifetime, so that a short-lived token is not renewed all the time. */
function aheadMs({ lifetime }: TokenRecord, endsAtMs: number, { refreshAheadMs, nowMs }: RenewalRule): number {
  // A record that does not say how long its token lives has at least what is left of it.
  const lifetimeMs = lifetime === undefined ? endsAtMs - nowMs : lifetime * 1000
  return Math.min(refreshAheadMs, Math.max(0, lifetimeMs) / 5)
}

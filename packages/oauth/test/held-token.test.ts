import { expect, test } from 'vitest'
import { heldToken } from '../src/held-token.ts'

const nowMs = 1_700_000_000_000
const inSeconds = (seconds: number): number => nowMs / 1000 + seconds
const rule = { refreshAheadMs: 60_000, nowMs, renewable: true, owner: 'https://mcp.example.com' }

test.each<[string, object, number]>([
  ['of an hour: 60 s', { expires_at_unix: inSeconds(3_600), lifetime: 3_600 }, 60_000],
  ['of 5 minutes: 60 s, which is a fifth', { expires_at_unix: inSeconds(300), lifetime: 300 }, 60_000],
  ['of 10 s: a fifth', { expires_at_unix: inSeconds(10), lifetime: 10 }, 2_000],
  ['of an hour that is nearly over: 60 s', { expires_at_unix: inSeconds(30), lifetime: 3_600 }, 60_000],
  ['that does not say how long it lives: a fifth of what is left', { expires_at_unix: inSeconds(100) }, 20_000],
  ['that does not say so and is over: nothing', { expires_at_unix: inSeconds(-100) }, 0],
  ['of no time at all: nothing', { expires_at_unix: inSeconds(0), lifetime: 0 }, 0]
])('how long ahead of its end is renewed a token %s', (_name, fields, aheadMs) => {
  const held = heldToken({ access_token: 'a', ...fields }, 'stored', rule)
  expect((held?.endsAtMs ?? 0) - (held?.renewAtMs ?? 0)).toBe(aheadMs)
})

test('what cannot be renewed is used to its end', () => {
  const held = heldToken({ access_token: 'a', expires_at_unix: inSeconds(3_600) }, 'granted', { ...rule, renewable: false })
  expect(held).toMatchObject({ renewAtMs: nowMs + 3_600_000, endsAtMs: nowMs + 3_600_000, token: { origin: 'granted' } })
})

test('a token without an end is used until it is refused', () => {
  const held = heldToken({ access_token: 'a' }, 'stored', rule)
  expect(held).toMatchObject({ renewAtMs: Number.POSITIVE_INFINITY, endsAtMs: Number.POSITIVE_INFINITY })
})

test('a record without a token holds none', () => {
  expect(heldToken({ refresh_token: 'r', generation: 1 }, 'stored', rule)).toBeUndefined()
})

import { expect, test } from 'vitest'
import type { RefreshOutcome } from '../src/refresh.ts'
import { refusalLimit } from '../src/refusal-limit.ts'

const refused = (refresh_token?: string): RefreshOutcome => ({
  kind: 'impossible',
  why: 'refused',
  record: refresh_token === undefined ? undefined : { refresh_token }
})

test('T19: a refresh token that is refused twice is worn out, until there is a new grant', () => {
  const limit = refusalLimit()
  expect(limit.isWornOut('one')).toBe(false)
  limit.note(refused('one'))
  expect(limit.isWornOut('one')).toBe(false)
  limit.note(refused('one'))
  expect(limit.isWornOut('one')).toBe(true)
  limit.note(refused('one'))
  expect(limit.isWornOut('one')).toBe(true)
  expect(limit.isWornOut('another')).toBe(false)
  limit.reset()
  expect(limit.isWornOut('one')).toBe(false)
})

test('each refresh token is counted for itself', () => {
  const limit = refusalLimit()
  for (const token of ['one', 'two', 'one']) limit.note(refused(token))
  expect(limit.isWornOut('one')).toBe(false)
})

test('no other outcome counts, nor one without a refresh token', () => {
  const limit = refusalLimit()
  const record = { refresh_token: 'one' }
  const others: RefreshOutcome[] = [
    { kind: 'refreshed', record, saved: true },
    { kind: 'adopted', record },
    { kind: 'impossible', why: 'dead', record },
    { kind: 'impossible', why: 'moved', record },
    { kind: 'impossible', why: 'no-refresh-token', record }
  ]
  limit.note(refused('one'))
  for (const outcome of [...others, refused(), refused()]) limit.note(outcome)
  expect([limit.isWornOut('one'), limit.isWornOut(undefined)]).toEqual([false, false])
  limit.note(refused('one'))
  expect(limit.isWornOut('one')).toBe(true)
})

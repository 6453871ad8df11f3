import { expect, test } from 'vitest'
import { stepUpLimit } from '../src/step-up-limit.ts'

test('N29: three attempts per scope set, in whatever order the scopes come', () => {
  const limit = stepUpLimit(() => 0)
  expect(
    [
      ['a', 'b'],
      ['b', 'a'],
      ['a', 'b'],
      ['b', 'a']
    ].map((scopes) => limit.spend(scopes))
  ).toEqual([true, true, true, false])
  expect(limit.spend(['a'])).toBe(true)
  for (const others of [['a', 'c'], ['ab'], ['b']]) expect(limit.spend(others)).toBe(true)
})

test('T19: a server that asks for another scope each time gets ten attempts in an hour', () => {
  let clock = 0
  const limit = stepUpLimit(() => clock)
  const granted = Array.from({ length: 20 }, (_, index) => limit.spend([`scope-${index}`]))
  expect(granted.filter(Boolean)).toHaveLength(10)
  clock = 3_600_001
  expect(limit.spend(['another'])).toBe(true)
})

test('T19: an attempt counts for an hour, to the millisecond, also when the clock was set back', () => {
  let clock = 10_000_000
  const limit = stepUpLimit(() => clock)
  for (let i = 0; i < 10; i++) expect(limit.spend([`scope-${i}`])).toBe(true)
  clock += 3_599_999
  expect(limit.spend(['another'])).toBe(false)
  clock -= 2 * 3_599_999
  expect(limit.spend(['another'])).toBe(false)
  clock = 10_000_000 - 3_600_000
  expect(limit.spend(['another'])).toBe(true)
  clock = 10_000_000 + 3_600_000
  expect(limit.spend(['another'])).toBe(true)
})

test('N29: what was refused is not counted, and the caller’s list is left as it is', () => {
  const limit = stepUpLimit(() => 0)
  const scopes = ['b', 'a']
  for (let i = 0; i < 20; i++) limit.spend(scopes)
  expect(scopes).toEqual(['b', 'a'])
  expect(limit.spend(['c'])).toBe(true)
  expect(limit.most).toBe(3)
})

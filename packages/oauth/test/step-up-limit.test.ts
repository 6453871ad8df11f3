import { expect, test } from 'vitest'
import { stepUpLimit } from '../src/step-up-limit.ts'

test('N29: three attempts per resource and scope set, in whatever order the scopes come', () => {
  const limit = stepUpLimit(() => 0)
  expect(
    [
      ['a', 'b'],
      ['b', 'a'],
      ['a', 'b'],
      ['b', 'a']
    ].map((scopes) => limit.spend('x', scopes))
  ).toEqual([true, true, true, false])
  expect(limit.spend('x', ['a'])).toBe(true)
  expect(limit.spend('y', ['a', 'b'])).toBe(true)
})

test('T19: a server that asks for another scope each time gets ten attempts in an hour', () => {
  let clock = 0
  const limit = stepUpLimit(() => clock)
  const granted = Array.from({ length: 20 }, (_, index) => limit.spend('x', [`scope-${index}`]))
  expect(granted.filter(Boolean)).toHaveLength(10)
  clock = 3_600_001
  expect(limit.spend('x', ['another'])).toBe(true)
})

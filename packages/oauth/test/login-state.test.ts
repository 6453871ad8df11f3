import { expect, test } from 'vitest'
import { sameState } from '../src/login-state.ts'

test('N32: only the state that was sent is the same, also where lengths differ or letters are beyond ASCII', () => {
  expect(sameState('the-state', 'the-state')).toBe(true)
  for (const given of ['', 'the-stat', 'the-state ', 'The-state', 'the-statf', '\u00e9'])
    expect(sameState('the-state', given), given).toBe(false)
  expect(sameState('\u00e9', 'e\u0301')).toBe(false)
})

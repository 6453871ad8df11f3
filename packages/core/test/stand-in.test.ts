import { expect, test, vi } from 'vitest'
import { standInFor } from '../src/stand-in.ts'

class Other {
  get added(): string {
    return `of ${this.constructor.name}`
  }
}

/** A new class that stands in for `Other`, and how often that one has been looked at. */
function standIn(): { Own: new () => object; asked: () => number } {
  class Own {}
  const other = vi.fn(() => Other)
  standInFor(Own, other)
  return { Own, asked: () => other.mock.calls.length }
}

test('an await, and every question that the class answers itself, leaves the other class alone', async () => {
  const { Own, asked } = standIn()
  const own = new Own()
  expect(await own).toBe(own)
  expect([own instanceof Own, own.constructor, asked()]).toEqual([true, Own, 0])
})

test.each<[question: string, answer: (own: object) => unknown, expected: unknown]>([
  ['instanceof', (own) => own instanceof Other, true],
  ['a member that only the other class has', (own) => (own as { added?: string }).added, 'of Own'],
  ['a member that neither has', (own) => (own as { missing?: string }).missing, undefined],
  ['in', (own) => ['added' in own, 'then' in own], [true, false]]
])('the first question about the other class is answered by it, and the next one as well: %s', (_question, answer, expected) => {
  const { Own, asked } = standIn()
  const own = new Own()
  expect(answer(own)).toEqual(expected)
  expect(asked()).toBe(1)
  expect([own instanceof Other, answer(own)]).toEqual([true, expected])
})

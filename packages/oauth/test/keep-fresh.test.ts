import { expect, onTestFinished, test, vi } from 'vitest'
import { keepFresh } from '../src/keep-fresh.ts'

/** Timers that run when the test says, and how often was looked. */
function stoppedTimers() {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
  return { pass, look: vi.fn<() => unknown>() }
}

test('looks at once, and again as soon as was said each time', async () => {
  const { pass, look } = stoppedTimers()
  const waits = [10, 30_000]
  using _keeping = keepFresh(look, () => waits.shift() as number)
  await pass(0)
  expect(look).toHaveBeenCalledTimes(1)
  await pass(9)
  expect(look).toHaveBeenCalledTimes(1)
  await pass(1)
  expect(look).toHaveBeenCalledTimes(2)
  await pass(29_999)
  expect(look).toHaveBeenCalledTimes(2)
  await pass(1)
  expect(look).toHaveBeenCalledTimes(3)
})

test('T17: looks again after a minute at the latest: while a machine sleeps, its timers stand still', async () => {
  const { pass, look } = stoppedTimers()
  using _keeping = keepFresh(look, () => Number.POSITIVE_INFINITY)
  await pass(59_999)
  expect(look).toHaveBeenCalledTimes(1)
  await pass(1)
  expect(look).toHaveBeenCalledTimes(2)
})

test.each<[string, () => unknown]>([
  ['throws', () => expect.unreachable()],
  ['rejects', () => Promise.reject(new Error('no network'))]
])('T9: a look that %s is followed by another, and is no unhandled rejection', async (_name, fail) => {
  const { pass, look } = stoppedTimers()
  look.mockImplementation(fail)
  using _keeping = keepFresh(look, () => 1_000)
  await pass(1_000)
  expect(look).toHaveBeenCalledTimes(2)
})

test('the next look waits for the one before it', async () => {
  const { pass, look } = stoppedTimers()
  const renewed = Promise.withResolvers<void>()
  look.mockReturnValue(renewed.promise)
  using _keeping = keepFresh(look, () => 1_000)
  await pass(60_000)
  expect(look).toHaveBeenCalledTimes(1)
  renewed.resolve()
  await pass(1_000)
  expect(look).toHaveBeenCalledTimes(2)
})

test('nobody looks once it is disposed of, also when that happens during a look', async () => {
  const { pass, look } = stoppedTimers()
  keepFresh(look, () => 1_000)[Symbol.dispose]()
  const between = keepFresh(look, () => 1_000)
  await pass(0)
  expect(look).toHaveBeenCalledTimes(2)
  between[Symbol.dispose]()
  expect(vi.getTimerCount()).toBe(0)
  await pass(120_000)
  expect(look).toHaveBeenCalledTimes(2)
})

test('does not keep the process alive', async () => {
  const { pass, look } = stoppedTimers()
  const set = vi.spyOn(globalThis, 'setTimeout')
  onTestFinished(() => void set.mockRestore())
  using _keeping = keepFresh(look, () => 1_000)
  await pass(0)
  expect(set.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef())).toEqual([false])
})

import { expect, test, vi } from 'vitest'
import { StandInController } from '../src/deferred-dispatch.ts'

const target = () => ({ aborted: false, reason: null, paused: false, abort: vi.fn(), pause: vi.fn(), resume: vi.fn() })
const gone = new Error('gone')

test('at first nothing is aborted or paused, and a request that is attached is left to run', () => {
  const standIn = new StandInController(() => undefined)
  expect([standIn.aborted, standIn.paused, standIn.reason]).toEqual([false, false, null])
  const real = target()
  standIn.attach(real)
  expect([real.abort, real.pause, real.resume].every((told) => told.mock.calls.length === 0)).toBe(true)
})

test('an abort reaches the request that is on its way; while none is, it is told to who waits; once', () => {
  const onAbort = vi.fn()
  const real = target()
  const onItsWay = new StandInController(onAbort)
  onItsWay.attach(real)
  onItsWay.abort(gone)
  onItsWay.abort(new Error('twice'))
  expect([real.abort.mock.calls, onAbort.mock.calls]).toEqual([[[gone]], []])
  expect([onItsWay.aborted, onItsWay.reason]).toEqual([true, gone])

  const between = new StandInController(onAbort)
  between.attach(real)
  between.detach()
  between.abort(gone)
  between.abort(new Error('twice'))
  expect(onAbort.mock.calls).toEqual([[gone]])
  expect(real.abort).toHaveBeenCalledOnce()
})

test('a request that is attached after the abort is aborted at once, for the same reason', () => {
  const standIn = new StandInController(() => undefined)
  standIn.pause()
  standIn.abort(gone)
  const real = target()
  standIn.attach(real)
  expect([real.abort.mock.calls, real.pause.mock.calls]).toEqual([[[gone]], []])
})

test('a pause is kept for the request that comes next, until it is taken back', () => {
  const standIn = new StandInController(() => undefined)
  const [first, second, third] = [target(), target(), target()]
  standIn.attach(first)
  standIn.pause()
  standIn.detach()
  standIn.attach(second)
  expect([first.pause, second.pause].map(({ mock }) => mock.calls.length)).toEqual([1, 1])
  standIn.resume()
  standIn.detach()
  standIn.resume()
  standIn.attach(third)
  expect([standIn.paused, second.resume.mock.calls.length, third.pause.mock.calls.length]).toEqual([false, 1, 0])
})

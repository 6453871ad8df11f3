import { getEventListeners } from 'node:events'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createFlights, waitFor } from '../src/flights.ts'

const patience = { personMs: 60_000, tooLong: () => new Error('too long') }

test('who comes while a flight is under way gets the same one, and who comes later another', async () => {
  const flights = createFlights<number>()
  let started = 0
  const start = async () => ++started
  expect(await Promise.all([flights.join('a', start).promise, flights.join('a', start).promise, flights.join('b', start).promise])).toEqual(
    [1, 1, 2]
  )
  expect(await flights.join('a', start).promise).toBe(3)
})

test('a caller that goes away is let go at once, and the flight goes on', async () => {
  const flights = createFlights<string>()
  const work = Promise.withResolvers<string>()
  const flight = flights.join('a', () => work.promise)
  const leaving = new AbortController()
  const gone = waitFor(flight, { ...patience, waiter: leaving.signal })
  leaving.abort(new Error('gone'))
  await expect(gone).rejects.toThrow('gone')
  await expect(waitFor(flight, { ...patience, waiter: leaving.signal })).rejects.toThrow('gone')
  work.resolve('done')
  expect(await waitFor(flight, patience)).toBe('done')
})

test('patience runs out only when a person is asked', async () => {
  const flights = createFlights<string>()
  const work = Promise.withResolvers<string>()
  const ask = Promise.withResolvers<void>()
  const flight = flights.join('a', async (asking) => {
    await ask.promise
    asking()
    return await work.promise
  })
  let ended = false
  const waiting = waitFor(flight, { ...patience, personMs: 1 }).finally(() => {
    ended = true
  })
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(ended).toBe(false)
  ask.resolve()
  await expect(waiting).rejects.toThrow('too long')
  work.resolve('later')
  expect(await flight.promise).toBe('later')
})

test('a flight that fails when nobody waits any more is no unhandled rejection', async () => {
  const flights = createFlights<string>()
  const unhandled: unknown[] = []
  const listener = (reason: unknown): void => void unhandled.push(reason)
  process.on('unhandledRejection', listener)
  flights.join('a', () => Promise.reject(new Error('nobody hears this')))
  await new Promise(setImmediate)
  await new Promise(setImmediate)
  process.off('unhandledRejection', listener)
  expect(unhandled).toEqual([])
})

test('a flight that has failed is over: the next who comes starts another', async () => {
  const flights = createFlights<string>()
  await expect(flights.join('a', () => Promise.reject(new Error('once'))).promise).rejects.toThrow('once')
  expect(flights.has('a')).toBe(false)
  const next = flights.join('a', async () => 'twice')
  expect(flights.has('a')).toBe(true)
  expect(await next.promise).toBe('twice')
  expect(flights.has('a')).toBe(false)
})

test('a start that throws at once is a flight that fails', async () => {
  const flight = createFlights<string>().join('a', () => {
    throw new Error('at once')
  })
  await expect(waitFor(flight, patience)).rejects.toThrow('at once')
})

test('who has waited leaves neither a timer nor a listener', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const leaving = new AbortController()
  const waiter = leaving.signal
  const flights = createFlights<string>()
  const done = flights.join('a', async () => 'done')
  const failed = flights.join('b', () => Promise.reject(new Error('failed')))
  const hanging = flights.join('c', () => new Promise(() => undefined))
  expect(await waitFor(done, { ...patience, waiter })).toBe('done')
  await expect(waitFor(failed, { ...patience, waiter })).rejects.toThrow('failed')
  const gone = waitFor(hanging, { ...patience, waiter })
  expect(getEventListeners(waiter, 'abort')).toHaveLength(1)
  leaving.abort(new Error('gone'))
  await expect(gone).rejects.toThrow('gone')
  await expect(waitFor(hanging, { ...patience, waiter })).rejects.toThrow('gone')
  expect(getEventListeners(waiter, 'abort')).toHaveLength(0)
  expect(vi.getTimerCount()).toBe(0)
})

import { getEventListeners } from 'node:events'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
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
  const next = flights.join('a', async () => 'twice')
  expect(await next.promise).toBe('twice')
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

describe('a flight that may be abandoned', () => {
  /** A flight that ends when the test says so, or is abandoned. */
  function world() {
    const flights = createFlights<string>()
    const work = Promise.withResolvers<string>()
    const signals: AbortSignal[] = []
    return {
      flights,
      signals,
      land: () => work.resolve('done'),
      join: (waiter?: AbortSignal) =>
        flights.join(
          'a',
          (_asking, abandoned) => {
            signals.push(abandoned)
            return work.promise
          },
          waiter
        )
    }
  }

  test('goes on while one of its passengers has not gone', async () => {
    const { join, signals } = world()
    const [one, other] = [new AbortController(), new AbortController()]
    expect(join(one.signal)).toBe(join(other.signal))
    await Promise.resolve()
    one.abort(new Error('first'))
    expect(signals[0]?.aborted).toBe(false)
    other.abort(new Error('last'))
    expect(signals[0]?.reason).toMatchObject({ message: 'last' })
  })

  test.each([0, 1])('goes on while passenger %d has no way of going', async (at) => {
    const { join, signals } = world()
    const leaving = new AbortController()
    for (let passenger = 0; passenger < 2; passenger += 1) join(passenger === at ? undefined : leaving.signal)
    await Promise.resolve()
    leaving.abort(new Error('gone'))
    expect(signals).toHaveLength(1)
    expect(signals[0]?.aborted).toBe(false)
  })

  test('is abandoned from the start when its only passenger has gone before', async () => {
    const { join, signals } = world()
    join(AbortSignal.abort(new Error('before')))
    await Promise.resolve()
    expect(signals[0]?.reason).toMatchObject({ message: 'before' })
  })

  test('is joined by nobody once it is abandoned: there is another, which is known until it ends', async () => {
    const { join, signals, land, flights } = world()
    const leaving = new AbortController()
    const first = join(leaving.signal)
    leaving.abort(new Error('gone'))
    const staying = new AbortController()
    const second = flights.join('a', () => new Promise(() => undefined), staying.signal)
    expect(second).not.toBe(first)
    land()
    await first.promise
    expect(signals).toHaveLength(1)
    expect(join()).toBe(second)
  })

  test('ends in its own way when the one that followed it has ended before', async () => {
    const { join, land, flights } = world()
    const first = join(AbortSignal.abort())
    await Promise.resolve()
    expect(await flights.join('a', async () => 'the other').promise).toBe('the other')
    land()
    expect(await first.promise).toBe('done')
  })

  test('listens to nobody once it has landed', async () => {
    const { join, land, signals } = world()
    const waiter = new AbortController()
    const flight = join(waiter.signal)
    expect(getEventListeners(waiter.signal, 'abort')).toHaveLength(1)
    land()
    await flight.promise
    expect(getEventListeners(waiter.signal, 'abort')).toHaveLength(0)
    waiter.abort()
    expect(signals[0]?.aborted).toBe(false)
  })
})

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createTurns } from '../src/turns.ts'

const longMs = 600_000

test('callers of one name come in their order, those of another at once', async () => {
  const turns = createTurns()
  const order: string[] = []
  const leave = await turns.enter('a', longMs)
  async function enterAs(who: string): Promise<(() => void) | undefined> {
    const done = await turns.enter('a', longMs)
    order.push(who)
    return done
  }
  const [second, third] = [enterAs('second'), enterAs('third')]
  expect(await turns.enter('b', longMs)).toBeDefined()
  expect(order).toEqual([])
  leave?.()
  ;(await second)?.()
  ;(await third)?.()
  expect(order).toEqual(['second', 'third'])
  expect(await turns.enter('a', longMs)).toBeDefined()
})

test('a turn that is ended twice ends once: nobody gets in beside the next one', async () => {
  const turns = createTurns()
  const leave = await turns.enter('a', longMs)
  const second = turns.enter('a', longMs)
  let thirdIsIn = false
  const third = turns.enter('a', longMs).then((done) => {
    thirdIsIn = true
    return done
  })
  leave?.()
  leave?.()
  const done = await second
  await new Promise(setImmediate)
  expect(thirdIsIn).toBe(false)
  done?.()
  ;(await third)?.()
})

test('who has waited too long goes with nothing, and the line goes on without it', async () => {
  const turns = createTurns()
  const leave = await turns.enter('a', longMs)
  const [hasty, patient] = [turns.enter('a', 1), turns.enter('a', longMs)]
  expect(await hasty).toBeUndefined()
  leave?.()
  expect(await patient).toBeDefined()
})

test('who is aborted goes with its reason, also before it has come, and the line goes on without it', async () => {
  const turns = createTurns()
  const leave = await turns.enter('a', longMs)
  const caller = new AbortController()
  const gone = turns.enter('a', longMs, caller.signal)
  const patient = turns.enter('a', longMs, new AbortController().signal)
  const last = turns.enter('a', longMs)
  caller.abort(new Error('gone'))
  await expect(gone).rejects.toThrow('gone')
  await expect(turns.enter('free', longMs, caller.signal)).rejects.toThrow('gone')
  leave?.()
  ;(await patient)?.()
  expect(await last).toBeDefined()
})

test('an abort after the turn has come changes nothing', async () => {
  const turns = createTurns()
  const leave = await turns.enter('a', longMs)
  const caller = new AbortController()
  const second = turns.enter('a', longMs, caller.signal)
  const third = turns.enter('a', longMs)
  leave?.()
  const done = await second
  caller.abort(new Error('late'))
  done?.()
  expect(await third).toBeDefined()
})

describe('by the clock', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  test('a deadline that passes after the turn has come takes nobody out of the line', async () => {
    const turns = createTurns()
    const leave = await turns.enter('a', longMs)
    const [second, third] = [turns.enter('a', 1_000), turns.enter('a', longMs)]
    leave?.()
    const done = await second
    vi.advanceTimersByTime(2_000)
    done?.()
    expect(await third).toBeDefined()
  })

  test('who has gone by its deadline does not go a second time by its abort, nor the other way round', async () => {
    const turns = createTurns()
    const leave = await turns.enter('a', longMs)
    const [late, early] = [new AbortController(), new AbortController()]
    const [hasty, gone] = [turns.enter('a', 1_000, late.signal), turns.enter('a', 2_000, early.signal)]
    const last = turns.enter('a', longMs)
    early.abort(new Error('gone'))
    await expect(gone).rejects.toThrow('gone')
    vi.advanceTimersByTime(3_000)
    expect(await hasty).toBeUndefined()
    late.abort()
    leave?.()
    expect(await last).toBeDefined()
  })
})

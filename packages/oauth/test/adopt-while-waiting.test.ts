import { once } from 'node:events'
import { expect, test } from 'vitest'
import { adoptWhileWaiting } from '../src/adopt-while-waiting.ts'

/** A lock that is never free; it ends when its waiter leaves. */
async function neverFree(waiter: AbortSignal): Promise<never> {
  if (!waiter.aborted) await once(waiter, 'abort')
  throw waiter.reason
}

test('what is there already is taken without the lock', async () => {
  await expect(
    adoptWhileWaiting(
      async () => 'there',
      () => expect.unreachable()
    )
  ).resolves.toBe('there')
})

test('T7 who waits leaves the queue when the token appears', async () => {
  let looks = 0
  await expect(adoptWhileWaiting(async () => (++looks > 3 ? 'theirs' : undefined), neverFree)).resolves.toBe('theirs')
})

test('who has the lock works to the end, whatever appears meanwhile', async () => {
  let appeared: string | undefined
  const work = adoptWhileWaiting(
    async () => appeared,
    async (waiter, started) => {
      started()
      appeared = 'theirs'
      await new Promise((resolve) => setImmediate(resolve))
      expect(waiter.aborted).toBe(false)
      return 'ours'
    }
  )
  await expect(work).resolves.toBe('ours')
})

test('a look that fails changes nothing, and what the lock throws is thrown', async () => {
  const failing = (): Promise<never> => Promise.reject(new Error('unreadable'))
  await expect(adoptWhileWaiting(failing, async () => 'ours')).resolves.toBe('ours')
  await expect(adoptWhileWaiting(failing, () => Promise.reject(new Error('lock timeout')))).rejects.toThrow('lock timeout')
})

test('who leaves the queue for a reason of its own gets that reason, even when nothing has appeared', async () => {
  const locked = async (waiter: AbortSignal): Promise<string> => {
    expect(waiter.aborted).toBe(false)
    throw new Error('lock timeout')
  }
  await expect(adoptWhileWaiting(async () => undefined, locked)).rejects.toThrow('lock timeout')
})

test('after the end nobody looks any more', async () => {
  let looks = 0
  const look = async (): Promise<undefined> => {
    looks += 1
  }
  await adoptWhileWaiting(look, async () => 'ours')
  await expect(adoptWhileWaiting(look, () => Promise.reject(new Error('lock timeout')))).rejects.toThrow('lock timeout')
  const atTheEnd = looks
  let others = 0
  await adoptWhileWaiting(async () => (++others > 4 ? 'enough' : undefined), neverFree)
  expect(looks).toBe(atTheEnd)
})

test('a look that fails while waiting is followed by another', async () => {
  let looks = 0
  const look = async (): Promise<string> => {
    looks += 1
    if (looks < 4) throw new Error('unreadable')
    return 'theirs'
  }
  await expect(adoptWhileWaiting(look, neverFree)).resolves.toBe('theirs')
})

test('a token that appears in the moment when the lock is free belongs to whoever took it: the work goes on', async () => {
  const looking = Promise.withResolvers<void>()
  const free = Promise.withResolvers<void>()
  let looks = 0
  const look = async (): Promise<string | undefined> => {
    looks += 1
    if (looks === 1) return undefined
    looking.resolve()
    await free.promise
    return 'theirs'
  }
  const work = adoptWhileWaiting(look, async (waiter, started) => {
    await looking.promise
    started()
    free.resolve()
    await new Promise(setImmediate)
    expect(waiter.aborted).toBe(false)
    throw new Error('the refresh failed')
  })
  await expect(work).rejects.toThrow('the refresh failed')
})

import { once } from 'node:events'
import { expect, test } from 'vitest'
import { adoptWhileWaiting } from '../src/adopt-while-waiting.ts'

/** A lock that is never free; it ends when its waiter leaves. */
async function neverFree(waiter: AbortSignal): Promise<never> {
  if (!waiter.aborted) await once(waiter, 'abort')
  throw waiter.reason
}

test('what is there already is taken without the lock', async () => {
  await expect(adoptWhileWaiting(async () => 'there', neverFree)).resolves.toBe('there')
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

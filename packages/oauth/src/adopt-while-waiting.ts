import { setTimeout as sleep } from 'node:timers/promises'

/** Between two looks, in milliseconds; the pauses grow, so that thousands of waiters do not besiege a database. */
const firstPauseMs = 20
const longestPauseMs = 1_000

/**
 * Waits for a lock, and looks meanwhile whether waiting has become needless: of many who meet one expired token, one asks, and the others leave the queue with
 * its token instead of taking the lock in turn.
 *
 * @param look What would make waiting needless; undefined: nothing yet. What it throws is left to whoever holds the lock.
 * @param locked Takes the lock, calls `started` when it has it, and works. `waiter` ends only the waiting.
 */
export async function adoptWhileWaiting<T>(
  look: () => Promise<T | undefined>,
  locked: (waiter: AbortSignal, started: () => void) => Promise<T>
): Promise<T> {
  const early = await look().catch(() => undefined)
  if (early !== undefined) return early

  const waiting = new AbortController()
  const stop = new AbortController()
  let found: T | undefined
  async function watch(): Promise<void> {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 1.5, longestPauseMs)) {
      await sleep(pauseMs * (0.5 + Math.random()), undefined, { signal: stop.signal, ref: false })
      found = await look().catch(() => undefined)
      if (found !== undefined && !stop.signal.aborted) return waiting.abort()
    }
  }
  // It ends by being stopped.
  watch().catch(() => undefined)
  try {
    return await locked(waiting.signal, () => stop.abort())
  } catch (error) {
    if (waiting.signal.aborted && found !== undefined) return found
    throw error
  } finally {
    stop.abort()
  }
}

import { onTestFinished, vi } from 'vitest'

/** What is written later is written when `next` is called. */
export function stoppedTimers(): { next(): Promise<void> } {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  return {
    next: async () => {
      await vi.advanceTimersByTimeAsync(5_000)
      for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate)
    }
  }
}

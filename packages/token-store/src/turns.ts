/** Waiting in line within one process, first come first served, by name. */
export interface Turns {
  /**
   * Resolves with the function that ends the turn, or with undefined when `deadlineMs` has passed before it came.
   * Rejects with the waiter's reason when it aborts first.
   */
  enter(name: string, deadlineMs: number, waiter?: AbortSignal): Promise<(() => void) | undefined>
}

/** Lines of callers who want the same name. Polling a lock is for other processes; within one, they queue. */
export function createTurns(): Turns {
  const lines = new Map<string, (() => void)[]>()

  function leave(name: string): void {
    const next = (lines.get(name) as (() => void)[]).shift()
    if (next) next()
    else lines.delete(name)
  }

  function enter(name: string, deadlineMs: number, waiter?: AbortSignal): Promise<(() => void) | undefined> {
    if (waiter?.aborted) return Promise.reject(waiter.reason)
    const line = lines.get(name)
    if (!line) {
      lines.set(name, [])
      return Promise.resolve(once(() => leave(name)))
    }
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer)
        waiter?.removeEventListener('abort', aborted)
      }
      const step = (): void => {
        settle()
        resolve(once(() => leave(name)))
      }
      const giveUp = (): void => {
        settle()
        line.splice(line.indexOf(step), 1)
      }
      const aborted = (): void => {
        giveUp()
        reject(waiter?.reason)
      }
      const timer = setTimeout(() => {
        giveUp()
        resolve(undefined)
      }, deadlineMs)
      waiter?.addEventListener('abort', aborted)
      line.push(step)
    })
  }
  return { enter }
}

function once(run: () => void): () => void {
  let done = false
  return () => {
    if (done) return
    done = true
    run()
  }
}

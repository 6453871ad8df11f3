/** Something under way that several callers wait for. */
export interface Flight<T> {
  readonly promise: Promise<T>
  /** Resolves when it begins to wait for a person. */
  readonly asking: Promise<void>
}

/** One flight per name: who comes while it is under way gets the same one. */
export interface Flights<T> {
  join(name: string, start: (asking: () => void) => Promise<T>): Flight<T>
  has(name: string): boolean
}

/** Makes the register. A flight never ends in an unhandled rejection, also when all who waited have gone. */
export function createFlights<T>(): Flights<T> {
  const running = new Map<string, Flight<T>>()
  return {
    has: (name) => running.has(name),
    join(name, start) {
      const known = running.get(name)
      if (known) return known
      const { promise: asking, resolve } = Promise.withResolvers<void>()
      const promise = Promise.resolve()
        .then(() => start(resolve))
        .finally(() => running.delete(name))
      promise.catch(() => undefined)
      const flight = { promise, asking }
      running.set(name, flight)
      return flight
    }
  }
}

/** How long a caller waits. */
export interface Patience {
  /** The caller went away; what it waited for goes on. */
  waiter?: AbortSignal | undefined
  /** How long for a person, in milliseconds. */
  personMs: number
  /** The error when a person takes longer. */
  tooLong: () => Error
}

/** Waits for a flight, without holding it: neither an abort nor impatience ends what others wait for. */
export function waitFor<T>({ promise, asking }: Flight<T>, { waiter, personMs, tooLong }: Patience): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => void asking.then(() => settle(() => reject(tooLong()))), personMs)
    const onAbort = (): void => settle(() => reject(waiter?.reason))
    function settle(end: () => void): void {
      clearTimeout(timer)
      waiter?.removeEventListener('abort', onAbort)
      end()
    }
    if (waiter?.aborted) return onAbort()
    waiter?.addEventListener('abort', onAbort)
    promise.then(
      (value) => settle(() => resolve(value)),
      (error) => settle(() => reject(error))
    )
  })
}

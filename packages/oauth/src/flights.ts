/** Something under way that several callers wait for. */
export interface Flight<T> {
  readonly promise: Promise<T>
  /** Resolves when it begins to wait for a person. */
  readonly asking: Promise<void>
}

/** One flight per name: who comes while it is under way gets the same one. */
export interface Flights<T> {
  /**
   * @param start Told when it is abandoned: all who joined with a signal have gone, and nobody joined without one.
   * @param waiter Of this caller, for a flight that may end when nobody waits for it any more.
   */
  join(name: string, start: (asking: () => void, abandoned: AbortSignal) => Promise<T>, waiter?: AbortSignal): Flight<T>
}

/** Makes the register. A flight never ends in an unhandled rejection, also when all who waited have gone. */
export function createFlights<T>(): Flights<T> {
  const running = new Map<string, { flight: Flight<T>; passengers: Passengers }>()
  return {
    join(name, start, waiter) {
      const known = running.get(name)
      if (known && !known.passengers.abandoned.aborted) {
        known.passengers.board(waiter)
        return known.flight
      }
      const passengers = noPassengers()
      passengers.board(waiter)
      const { promise: asking, resolve } = Promise.withResolvers<void>()
      const promise = Promise.resolve()
        .then(() => start(resolve, passengers.abandoned))
        .finally(() => {
          // After an abandoned one another may be under way already.
          if (running.get(name)?.passengers === passengers) running.delete(name)
          passengers.land()
        })
      promise.catch(() => undefined)
      const flight = { promise, asking }
      running.set(name, { flight, passengers })
      return flight
    }
  }
}

/** Who is on a flight. */
interface Passengers {
  /** Aborted when all have gone. */
  readonly abandoned: AbortSignal
  /** Without a signal one stays. */
  board(waiter: AbortSignal | undefined): void
  /** Nobody is listened to any more. */
  land(): void
}

function noPassengers(): Passengers {
  const abandoned = new AbortController()
  const landed = new AbortController()
  let aboard = 0
  return {
    abandoned: abandoned.signal,
    board(waiter) {
      const leave = (): void => {
        aboard -= 1
        if (aboard === 0) abandoned.abort(waiter?.reason)
      }
      aboard += 1
      if (waiter?.aborted) return leave()
      waiter?.addEventListener('abort', leave, { signal: landed.signal })
    },
    land: () => landed.abort()
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

/** A timer stands still while the machine sleeps, so it is never set for longer; in milliseconds. */
const longestWaitMs = 60_000

/**
 * Looks at a token again and again, so that it is renewed ahead of its end without any request. It does not keep the process alive.
 *
 * @param look Does what a request does before it is sent.
 * @param nextLookMs How long until the next one, in milliseconds.
 */
export function keepFresh(look: () => unknown, nextLookMs: () => number): Disposable {
  let over = false
  let timer: NodeJS.Timeout | undefined

  async function tick(): Promise<void> {
    await Promise.resolve()
      .then(look)
      .catch(() => undefined)
    if (!over) timer = setTimeout(() => void tick(), Math.min(nextLookMs(), longestWaitMs)).unref()
  }

  void tick()
  return {
    [Symbol.dispose]: () => {
      over = true
      clearTimeout(timer)
    }
  }
}

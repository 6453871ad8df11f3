/** Where calls of the tool `wait` stand until the test lets them go. */
export interface ToolGate {
  /** Resolves once `count` calls have arrived in all. */
  arrived(count?: number): Promise<void>
  /** Lets every waiting call go, and those to come. */
  release(): void
  /** Closes again behind those that went. */
  close(): void
  /** For the tool itself. */
  pass(): Promise<void>
}

export function createToolGate(): ToolGate {
  let arrivals = 0
  let open = Promise.withResolvers<void>()
  let watchers: Array<{ count: number; resolve: () => void }> = []

  return {
    arrived(count = 1) {
      if (arrivals >= count) return Promise.resolve()
      return new Promise((resolve) => void watchers.push({ count, resolve }))
    },
    release: () => open.resolve(),
    close() {
      arrivals = 0
      open = Promise.withResolvers<void>()
    },
    pass() {
      arrivals += 1
      for (const { resolve } of watchers.filter(({ count }) => count <= arrivals)) resolve()
      watchers = watchers.filter(({ count }) => count > arrivals)
      return open.promise
    }
  }
}

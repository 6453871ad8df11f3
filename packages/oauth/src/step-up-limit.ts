/** Widening one scope may be tried only so often: a server that is never content would log people in for ever (N29, T19). */
const most = 3
/** And all together in an hour: a server that asks for another scope each time would, too. */
const mostInAnHour = 10
const hourMs = 3_600_000

/** Counts attempts per scope set; one token source has one resource. */
export interface StepUpLimit {
  readonly most: number
  /** false: used up. */
  spend(scopes: readonly string[]): boolean
}

/** Makes the counter of one token source. */
export function stepUpLimit(now: () => number): StepUpLimit {
  const attempts = new Map<string, number>()
  let lastHour: readonly number[] = []
  return {
    most,
    spend(scopes) {
      const name = scopes.toSorted().join(' ')
      const used = attempts.get(name) ?? 0
      lastHour = lastHour.filter((atMs) => Math.abs(now() - atMs) < hourMs)
      if (used >= most || lastHour.length >= mostInAnHour) return false
      attempts.set(name, used + 1)
      lastHour = [...lastHour, now()]
      return true
    }
  }
}

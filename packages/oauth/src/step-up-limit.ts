/** Widening one scope at one resource may be tried only so often: a server that is never content would log people in for ever (N29, T19). */
const most = 3

/** Counts attempts per resource and scope set. */
export interface StepUpLimit {
  readonly most: number
  /** false: used up. */
  spend(resource: string, scopes: readonly string[]): boolean
}

/** Makes the counter of one token source. */
export function stepUpLimit(): StepUpLimit {
  const attempts = new Map<string, number>()
  return {
    most,
    spend(resource, scopes) {
      const name = JSON.stringify([resource, ...scopes.toSorted()])
      const used = attempts.get(name) ?? 0
      if (used >= most) return false
      attempts.set(name, used + 1)
      return true
    }
  }
}

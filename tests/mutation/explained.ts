/** A mutant that no test can or need kill, and why. It is known by what it changes, so that it is found again when lines move. */
export interface Explained {
  file: string
  from: string
  to: string
  why: string
}

export const explained: readonly Explained[] = []

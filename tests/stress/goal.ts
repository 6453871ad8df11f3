/** Where the tokens are. */
export type StoreKind = 'file' | 'postgres'

/** What a goal is run with. */
export interface Scale {
  processes: number
  expiries: number
  /** Times each point is struck. */
  strikes: number
  staleMs: number
  /** Only this point, where given. */
  fault: string | undefined
  /** Rounds of R7 to R9. */
  rounds: number
  store: StoreKind
  /** Whether times decide too, and not only counts: not on a machine that does other things at the same time. */
  timed: boolean
}

/** What a goal found. */
export interface Outcome {
  passed: boolean
  /** What was seen, for a person and for JSON. */
  figures: Record<string, number | string>
}

/** One promise of the project, and the program that tries to break it. */
export interface Goal {
  readonly name: string
  readonly promise: string
  run(scale: Scale): Promise<Outcome>
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

/** Fails loudly where something hangs, in place of a run that never ends. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms / 1000} s`)), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

export function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}

/** Like Promise.all, but a failure waits until the others have tidied up. */
export async function allOrNone<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work)
  return await Promise.all(work)
}

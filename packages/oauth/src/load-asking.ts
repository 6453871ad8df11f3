/** See `asking.ts`. */
export type Asking = typeof import('./asking.ts')

/** Loads the half of this package that asks somebody something, when that is first needed: parsing it costs 4 ms at start-up. */
export function loadAsking(): Promise<Asking> {
  return import('./asking.ts')
}

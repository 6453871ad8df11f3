/** Of a property: how often, and from where. */
export interface FuzzRuns {
  numRuns: number
  seed: number
}

/** By day every run tries the same values, so that a change fails for what it changed; the night looks for new ones. */
const daySeed = 20_261_120

/**
 * How often a property is tried: `short` times on every change, `long` times (or fewer, when MCPAUTH_FUZZ_RUNS says so) at night.
 * The seed is printed, and MCPAUTH_FUZZ_SEED repeats it.
 */
export function fuzzRuns(title: string, short: number, long: number): FuzzRuns {
  const asked = process.env.MCPAUTH_FUZZ_RUNS
  const numRuns = asked === undefined ? short : Math.min(Number(asked), long)
  const seed = Number(process.env.MCPAUTH_FUZZ_SEED ?? (asked === undefined ? daySeed : Date.now() % 2 ** 31))
  console.log(`${title}: ${numRuns} runs, MCPAUTH_FUZZ_SEED=${seed}`)
  return { numRuns, seed }
}

/** Whether this is the long run of the night. */
export const isLongRun: boolean = Number(process.env.MCPAUTH_FUZZ_RUNS ?? 0) >= 100_000

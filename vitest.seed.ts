import fc from 'fast-check'

// By day every run tries the same values, so that a change fails for what it changed; the night, which sets MCPAUTH_FUZZ_RUNS, looks for new ones.
const seed = process.env.MCPAUTH_FUZZ_SEED ?? (process.env.MCPAUTH_FUZZ_RUNS === undefined ? '20261120' : undefined)
if (seed !== undefined) fc.configureGlobal({ seed: Number(seed) })

import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// What a mutant must get past: the tests of its package that run in this process and this thread. A process that a test starts would not see the mutant, a
// worker thread has neither signals nor an environment of its own, and a test that loads the sources a second time would pass for the only one that covers
// what runs while they load. Ten thousand requests take longer than a mutant may.
const elsewhere = [
  'packages/core/test/two-copies.test.ts',
  'packages/token-store/test/{proper-lockfile,crash,signal-shield}.test.ts',
  'packages/oauth/test/{session-store,callback-flood}.test.ts'
]

// A mutant may look for the cache anywhere: this run's home is none of a person's.
process.env.HOME = fileURLToPath(new URL('../../.artifacts/home', import.meta.url))

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The tests that talk to a server over the wire: each takes as long as a hundred others. */
const onTheWire = globSync('packages/*/test/*.test.ts', { cwd: root }).filter((file) => /servers\/|small-servers/.test(read(file)))

function read(file: string): string {
  return readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
}

export default defineConfig({
  root,
  test: {
    include: (process.env.MCPAUTH_MUTATION_TESTS ?? '').split(' '),
    exclude: [...elsewhere, ...(process.env.MCPAUTH_MUTATION_QUICK === undefined ? [] : onTheWire)],
    setupFiles: ['vitest.seed.ts'],
    // A mutant is switched on at run time, so the modules can stay loaded.
    isolate: false,
    testTimeout: 5_000
  }
})

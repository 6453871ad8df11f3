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

export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    include: (process.env.MCPAUTH_MUTATION_TESTS ?? '').split(' '),
    exclude: elsewhere,
    setupFiles: ['vitest.seed.ts'],
    // A mutant is switched on at run time, so the modules can stay loaded.
    isolate: false,
    testTimeout: 5_000
  }
})

import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// A test that waits, waits for an event; the limit only ends one that hangs. The long fuzzing of the night takes its time.
const limitMs = process.env.MCPAUTH_FUZZ_RUNS === undefined ? 120_000 : 3_600_000
const common = { testTimeout: limitMs, hookTimeout: 120_000, setupFiles: [fileURLToPath(new URL('vitest.seed.ts', import.meta.url))] }
const undici7 = fileURLToPath(new URL('tests/node_modules/undici7', import.meta.url))

export default defineConfig({
  test: {
    // 2 cores, and tests that start processes of their own.
    maxWorkers: 2,
    globalSetup: fileURLToPath(new URL('vitest.temporary.ts', import.meta.url)),
    projects: [
      { test: { name: 'packages', include: ['packages/*/test/**/*.test.ts'], ...common } },
      { test: { name: 'tests', include: ['tests/**/*.test.ts'], ...common } },
      // Everything on the wire once more with the other undici that the packages take as their peer.
      {
        resolve: { alias: [{ find: /^undici$/, replacement: undici7 }] },
        test: {
          name: 'undici 7',
          include: ['tests/{interfaces,fetch,transports}/**/*.test.ts', 'packages/refresh-on-401/test/**/*.test.ts'],
          ...common
        }
      }
    ]
  }
})

import { defineConfig } from 'vitest/config'

// Vitest is told nothing about time: a test that waits, waits for an event, and its limit only ends one that hangs.
const limits = { testTimeout: 120_000, hookTimeout: 120_000 }

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'packages', include: ['packages/*/test/**/*.test.ts'], ...limits } },
      { test: { name: 'tests', include: ['tests/**/*.test.ts'], ...limits } }
    ]
  }
})

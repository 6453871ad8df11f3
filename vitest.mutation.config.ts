import { defineConfig } from 'vitest/config'

// What a mutant must get past: everything that runs in this process. Tests that start processes of their own would not see the mutant.
export default defineConfig({
  test: {
    include: [
      'packages/{core,refresh-on-401,token-store,oauth}/test/**/*.test.ts',
      'tests/{interfaces,fetch,transports,oauth,dpop}/**/*.test.ts',
      'tests/wire/{refusals,race,long-lives,expiry,token-endpoint}.test.ts'
    ],
    testTimeout: 30_000
  }
})

import { existsSync } from 'node:fs'
import { defineConfig } from 'tsup'

// JavaScript only: tsup's declarations need a compiler API that TypeScript 7 has not; `tsc` writes them (tsconfig.build.json).
export default defineConfig({
  entry: [existsSync('src/main.ts') ? 'src/main.ts' : 'src/index.ts'],
  format: 'esm',
  target: 'node22',
  platform: 'node',
  dts: false,
  clean: true,
  // What is imported when it is first needed stays a file of its own.
  splitting: true,
  removeNodeProtocol: false
})

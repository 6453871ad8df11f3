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
  removeNodeProtocol: false,
  plugins: [{ name: 'built-in modules', renderChunk: (code) => ({ code: withoutBuiltInImports(code) }) }]
})

/**
 * To import one function of a built-in module loads everything that hangs on the module (that of `node:crypto` loads WebCrypto), and costs a process 2 ms of
 * its first request. Asked for as an object, it loads what is used.
 */
function withoutBuiltInImports(code: string): string {
  return code.replace(/^import \{([^}]+)\} from "(node:[\w/]+)";$/gm, (_, names: string, name: string) => {
    return `const {${names.replaceAll(' as ', ': ')}} = process.getBuiltinModule("${name}");`
  })
}

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A literal title of a test or of a group of tests. */
export interface TestTitle {
  readonly file: string
  readonly title: string
}

/** A title stands behind the call itself, or behind the table that `each` was given (or the condition of `skipIf`). */
const titled = /(?:\b(?:test|it|describe)(?:\.\w+)*(?:<[^()]*>)?|\))\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/g

/** Every title in a test file's source, as it is written there. */
export function titlesIn(source: string): string[] {
  // A line that is commented out proves nothing.
  const code = source.replace(/^\s*\/\/.*$/gm, '')
  return Array.from(code.matchAll(titled), ([, single, double, template]) => single ?? double ?? template ?? '')
}

/** The titles of all tests of the repository. */
export function allTitles(root: string): TestTitle[] {
  const files = globSync(['packages/*/test/**/*.test.ts', 'tests/**/*.test.ts'], { cwd: root, exclude: ['**/node_modules/**'] })
  return files.flatMap((file) => titlesIn(readFileSync(join(root, file), 'utf8')).map((title) => ({ file, title })))
}

/** The row numbers that a title carries. */
export function rowsOf(title: string): string[] {
  return title.match(/\b[NT][1-9]\d?\b/g) ?? []
}

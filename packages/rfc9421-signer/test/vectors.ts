import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'

const folder = resolve(process.env.MCPAUTH_VECTORS ?? '../shared/vectors')

/** Whether the test vectors, which are not part of this repository, are on this machine. */
export const haveVectors: boolean = existsSync(folder)

/** One file of them, parsed. */
// biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects, and fails where it is not there.
export function vectors(path: string): any {
  return JSON.parse(readFileSync(resolve(folder, path), 'utf8'))
}

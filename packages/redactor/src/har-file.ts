import { closeSync, constants, fchmodSync, fstatSync, openSync, writeSync } from 'node:fs'

const head = '{"log":{"version":"1.2","creator":{"name":"mcpauth","version":"1"},"entries":[\n'
const tail = '\n]}}\n'

/**
 * A HAR file that is whole JSON after every entry, also when the program is killed then. It begins anew with the first entry of each program.
 *
 * @returns Appends one entry; synchronous, a few tens of microseconds.
 */
export function harFile(path: string): (entry: object) => void {
  let end = 0

  function append(entry: object): void {
    // O_NOFOLLOW: a link planted in its place is not written through.
    const fresh = constants.O_CREAT | constants.O_TRUNC
    const file = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW | (end === 0 ? fresh : 0), 0o600)
    try {
      // One that was there before may be open to others; another user's cannot be closed to them, and is not written to.
      if (end === 0) fchmodSync(file, 0o600)
      const text = end === 0 ? head + JSON.stringify(entry) : `,\n${JSON.stringify(entry)}`
      const at = end === 0 ? 0 : Math.min(end, fstatSync(file).size)
      const length = writeSync(file, text, at)
      end = at + length
      writeSync(file, tail, end)
    } finally {
      closeSync(file)
    }
  }
  return append
}

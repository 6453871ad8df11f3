import { resolve } from 'node:path'
import { McpAuthError } from '@mcpauth/core'

/** No token is longer; whatever is, is not a token file. In bytes. */
const maxTokenFileBytes = 65_536

/**
 * Reads a file that holds one token, again whenever the file changes. One trailing newline is removed, as mounted secrets have it.
 *
 * @throws `MCPAUTH_CREDENTIAL_MISSING` the file is absent, unreadable, not a file, empty or larger than 64 KiB.
 */
export function tokenFile(path: string): () => string {
  const file = resolve(path)
  // A token from the environment must not pull in the file system, so it is taken at the first file.
  const { readFileSync, statSync } = process.getBuiltinModule('node:fs')
  let lastIdentity: string | undefined
  let lastToken = ''

  /** A mounted secret is swapped by a symbolic link: the inode counts as well as the time. */
  function identity(): string {
    const stats = statSync(file, { bigint: true })
    if (!stats.isFile()) throw unreadable(file, 'is not a file')
    if (stats.size > maxTokenFileBytes) throw unreadable(file, 'is larger than 64 KiB')
    return `${stats.dev}:${stats.ino}:${stats.mtimeNs}:${stats.ctimeNs}:${stats.size}`
  }

  return () => {
    try {
      // The identity is taken before the content: a change between the two is read again next time.
      const current = identity()
      if (current !== lastIdentity) {
        lastToken = readFileSync(file, 'utf8').replace(/\r?\n$/, '')
        lastIdentity = current
      }
    } catch (error) {
      throw McpAuthError.is(error) ? error : unreadable(file, `cannot be read (${codeOf(error)})`)
    }
    if (lastToken === '') throw unreadable(file, 'is empty')
    return lastToken
  }
}

function unreadable(file: string, fact: string): McpAuthError {
  return new McpAuthError('MCPAUTH_CREDENTIAL_MISSING', `the token file ${file} ${fact}`, {
    hint: `put the token, and nothing else, into ${file}, readable by this process`
  })
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException).code ?? 'unknown error')
}

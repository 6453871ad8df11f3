import { resolve } from 'node:path'
import { McpAuthError } from './errors.ts'
import { publish } from './events.ts'

/** No token is longer, nor a key; whatever is, is another file. In bytes. */
const maxSecretFileBytes = 65_536

/** A file that others may replace at any time, as a mounted secret or a renewed certificate is. */
export interface ChangingFile {
  /** Changes whenever the content may have changed; cheap, because it is asked for every request. Taken before the content, so that no change is missed. */
  identity(): string
  read(): string
}

/**
 * A file of the user's that is read again when it changes.
 *
 * @param unreadable Makes the error for a file that is absent, unreadable, not a file, or larger than `maxBytes`; the fact never quotes it.
 */
export function changingFile(file: string, maxBytes: number, unreadable: (fact: string) => McpAuthError): ChangingFile {
  // A secret from the environment must not pull in the file system, so it is taken at the first file.
  const { readFileSync, statSync } = process.getBuiltinModule('node:fs')

  function attempt<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw unreadable(`cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`)
    }
  }

  /** A mounted secret is swapped by a symbolic link: the inode counts as well as the time. */
  function identity(): string {
    const stats = attempt(() => statSync(file, { bigint: true }))
    if (!stats.isFile()) throw unreadable('is not a file')
    if (stats.size > maxBytes) throw unreadable(`is larger than ${maxBytes / 1024} KiB`)
    return `${stats.dev}:${stats.ino}:${stats.mtimeNs}:${stats.ctimeNs}:${stats.size}`
  }
  return { identity, read: () => attempt(() => readFileSync(file, 'utf8')) }
}

/**
 * Reads a file that holds one secret, again whenever the file changes. One trailing newline is removed, as mounted secrets have it.
 *
 * @throws `MCPAUTH_CREDENTIAL_MISSING` the file is absent, unreadable, not a file, empty or larger than 64 KiB; the error names it.
 */
export function secretFile(path: string): () => string {
  const file = resolve(path)
  const { identity, read } = changingFile(file, maxSecretFileBytes, (fact) => unreadable(file, fact))
  let lastIdentity: string | undefined
  let lastSecret = ''

  return () => {
    const current = identity()
    if (current !== lastIdentity) {
      lastSecret = read().replace(/\r?\n$/, '')
      lastIdentity = current
    }
    if (lastSecret === '') throw unreadable(file, 'is empty')
    return lastSecret
  }
}

/**
 * A private key that others on this machine can read is not private any more: `mcpauth:key:warning` with the file and its mode. It still works, since
 * a mount may leave no choice. Windows has no such bits.
 *
 * @throws what `statSync` throws
 */
export function warnOfReadableKey(file: string): void {
  if (process.platform === 'win32') return
  const mode = process.getBuiltinModule('node:fs').statSync(file).mode & 0o777
  if ((mode & 0o077) === 0) return
  const octal = `0${mode.toString(8).padStart(3, '0')}`
  publish('mcpauth:key:warning', { file, mode: octal, reason: 'the key file can be read by others', hint: `chmod 600 ${file}` })
}

/**
 * The error for a user's function that threw instead of giving a secret. What it threw is neither chained nor quoted: it may hold what the
 * function had in its hands, and nobody has registered that.
 *
 * @param what As in "the function get".
 * @param option Where it was given.
 */
export function sourceFailed(what: string, option: string, error: unknown): McpAuthError {
  if (McpAuthError.is(error)) return error
  return new McpAuthError('MCPAUTH_CREDENTIAL_MISSING', `${what} has thrown an error`, {
    hint: `look at the function given ${option}; an McpAuthError that it throws is handed on as it is`
  })
}

function unreadable(file: string, fact: string): McpAuthError {
  return new McpAuthError('MCPAUTH_CREDENTIAL_MISSING', `the file ${file} ${fact}`, {
    hint: `put the secret, and nothing else, into ${file}, readable by this process`
  })
}

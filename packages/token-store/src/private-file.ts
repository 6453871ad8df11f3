import { randomUUID } from 'node:crypto'
import {
  type BigIntStats,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  type Stats,
  unlinkSync,
  writeFileSync
} from 'node:fs'
import { dirname } from 'node:path'
import { McpAuthError } from '@mcpauth/core'

const { O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } = constants
// Absent on Windows, where a link needs a privilege to be made.
const O_NOFOLLOW: number = constants.O_NOFOLLOW ?? 0
// A named pipe planted in place of a file would otherwise hold open() for ever.
const O_NONBLOCK: number = constants.O_NONBLOCK ?? 0

/** Opens a new file for writing: never through a link, never one that exists. */
export const createNew: number = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW

/** Told about a file whose permissions were found too wide. */
export type OnWideMode = (path: string, mode: number, tightened: boolean) => void

/**
 * The bytes of a private file, or undefined when there is none. Refuses links, what is not a regular file, and files of other users (root's
 * are taken: a mounted secret is root's). Takes group's and others' permissions away where it may.
 *
 * Read at once: a few KiB take 50 µs. To start the thread pool for them costs the first request of a process 4 ms.
 *
 * @throws `MCPAUTH_STORE_UNSAFE`, `MCPAUTH_STORE_UNAVAILABLE`
 */
export async function readPrivateFile(path: string, maxBytes: number, onWideMode: OnWideMode): Promise<Uint8Array | undefined> {
  const file = openPrivateFile(path)
  if (file === undefined) return undefined
  try {
    const stat = fstatSync(file)
    refuseUnsafe(path, stat)
    tighten(path, file, stat, onWideMode)
    return readBounded(file, Math.min(maxBytes, stat.size))
  } catch (error) {
    throw unavailable(`reading ${path}`, error)
  } finally {
    closeSync(file)
  }
}

/**
 * Puts a private file in place in one step: a new temporary file, synced, renamed over the old one, the folder synced.
 * Whoever reads sees the old bytes or the new ones, also after a power cut. On a full disk the new ones are written over the old ones, where they fit: what stands
 * in a used-up record must not stay.
 *
 * Nothing else of this process runs between the steps: whoever holds the answer to a refresh has nothing better to do than to put it in a safe place. It is done
 * once in the life of a token.
 *
 * @param at Called between the steps, by tests.
 * @throws `MCPAUTH_STORE_UNAVAILABLE` disk full and no room in the old file either, read-only, no permission; the old file is untouched.
 */
export async function replacePrivateFile(
  path: string,
  bytes: Uint8Array,
  at?: (point: 'temp-written' | 'temp-synced' | 'renamed') => void | Promise<void>
): Promise<void> {
  refuseUnsafeTarget(path)
  const temporary = temporaryName(path)
  try {
    const file = openSync(temporary, createNew, 0o600)
    try {
      // A umask can only have taken bits away, which would leave a file that its owner cannot read.
      fchmodSync(file, 0o600)
      writeFileSync(file, bytes)
      await at?.('temp-written')
      fsyncSync(file)
      await at?.('temp-synced')
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
    await at?.('renamed')
  } catch (error) {
    removeQuietly(temporary)
    if (!isFullDisk(error) || !overwritten(path, bytes)) throw unavailable(`writing ${path}`, error)
  }
  syncFolder(dirname(path))
}

function isFullDisk(error: unknown): boolean {
  const code = systemCode(error)
  return code === 'ENOSPC' || code === 'EDQUOT'
}

/**
 * Writes over what stands there, in the blocks that it has. On a full disk another process may still take the lock, and the refresh token in the old file
 * has been used up by then: whoever sends it again loses the grant.
 *
 * One write, no shorter than the old bytes, so that there is nothing to cut off afterwards: JSON may end in spaces.
 */
function overwritten(path: string, bytes: Uint8Array): boolean {
  try {
    const file = openSync(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK)
    try {
      const { size, blocks, nlink } = fstatSync(file)
      if (bytes.length > blocks * 512 || nlink !== 1) return false
      const padded = Buffer.alloc(Math.max(bytes.length, size), ' ')
      padded.set(bytes)
      writeFileSync(file, padded)
      fsyncSync(file)
      return true
    } finally {
      closeSync(file)
    }
  } catch {
    return false
  }
}

/** A name for a new file beside `path` that nobody can guess; {@link isTemporaryOf} finds what a crash left. */
export function temporaryName(path: string): string {
  return `${path}.${randomUUID()}.tmp`
}

/** Whether `name` is a temporary file of the record, lock or guard whose names begin with `stem`. */
export function isTemporaryOf(stem: string, name: string): boolean {
  return name.startsWith(`${stem}.`) && /\.[0-9a-f-]{36}\.tmp$/.test(name)
}

/** Whether a file or folder belongs to this user, or to root. Always true where there are no owners. */
export function isTrustedOwner(stat: { uid: number | bigint }): boolean {
  const own = process.geteuid?.()
  return own === undefined || Number(stat.uid) === own || Number(stat.uid) === 0
}

/** The identity of a file: two that have this in common are one. */
export function identityOf(stat: BigIntStats): string {
  return `${stat.dev}:${stat.ino}:${stat.birthtimeNs}`
}

/**
 * `lstat` in whole numbers, or undefined when there is nothing.
 *
 * @throws `MCPAUTH_STORE_UNAVAILABLE` a folder on the way may not be searched
 */
export function lstatOf(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false })
  } catch (error) {
    throw unavailable(`looking at ${path}`, error)
  }
}

/** The code of a system error, `ENOSPC`. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : undefined
}

/** Something that must not be trusted stands where a private file belongs. */
export function unsafe(path: string, fact: string, hint: string): McpAuthError {
  return new McpAuthError('MCPAUTH_STORE_UNSAFE', `${path} ${fact}`, { hint })
}

const advice: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full: free some space',
  EDQUOT: 'the disk quota is used up: free some space',
  EFBIG: 'the file-size limit is reached: raise it',
  EROFS: 'the file system is read-only: name a writable folder with MCPAUTH_AUTH_DIR',
  EACCES: 'this user may not write there: correct the permissions, or name another folder with MCPAUTH_AUTH_DIR',
  EPERM: 'this user may not write there: correct the owner, or name another folder with MCPAUTH_AUTH_DIR',
  ENOENT: 'the folder is missing and cannot be made: name another one with MCPAUTH_AUTH_DIR',
  EMFILE: 'this process has too many files and connections open: close some, or raise its limit (ulimit -n)',
  ENFILE: 'this machine has too many files open: end what opens them',
  ENOTDIR: 'a file stands where a folder belongs: name another folder with MCPAUTH_AUTH_DIR'
}

/** A typed error for what the file system refused. System errors hold a path and a code, so they can be its cause. */
export function unavailable(doing: string, error: unknown): McpAuthError {
  if (McpAuthError.is(error)) return error
  const code = systemCode(error)
  return new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', `${doing} failed${code ? `: ${code}` : ''}`, {
    hint: (code && advice[code]) ?? 'check the folder, or name another one with MCPAUTH_AUTH_DIR',
    cause: error
  })
}

function openPrivateFile(path: string): number | undefined {
  try {
    return openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT') return undefined
    if (code === 'ELOOP' || code === 'EMLINK') throw isLink(path)
    throw unavailable(`reading ${path}`, error)
  }
}

function isLink(path: string): McpAuthError {
  return unsafe(path, 'is a symbolic link', 'remove the link: a token cache is never reached through one')
}

function refuseUnsafe(path: string, stat: Stats | BigIntStats): void {
  if (stat.isSymbolicLink()) throw isLink(path)
  if (!stat.isFile()) throw unsafe(path, 'is not a regular file', 'remove it')
  if (!isTrustedOwner(stat)) throw unsafe(path, 'belongs to another user', 'remove it, or name a folder of your own with MCPAUTH_AUTH_DIR')
}

function refuseUnsafeTarget(path: string): void {
  // rename() would replace a link and leave its target alone; but somebody planted it, and that is worth an error.
  const stat = lstatOf(path)
  if (stat) refuseUnsafe(path, stat)
}

function tighten(path: string, file: number, stat: Stats, onWideMode: OnWideMode): void {
  const own = process.geteuid?.()
  if (own === undefined || (stat.mode & 0o077) === 0) return
  onWideMode(path, stat.mode & 0o777, stat.uid === own && madePrivate(file))
}

function madePrivate(file: number): boolean {
  try {
    fchmodSync(file, 0o600)
    return true
  } catch {
    return false
  }
}

function readBounded(file: number, maxBytes: number): Uint8Array {
  // One byte more than allowed tells a file that is too large, however large it is or grows.
  const buffer = Buffer.alloc(maxBytes + 1)
  let filled = 0
  while (filled < buffer.length) {
    const bytesRead = readSync(file, buffer, filled, buffer.length - filled, filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return buffer.subarray(0, filled)
}

function syncFolder(path: string): void {
  try {
    const folder = openSync(path, O_RDONLY)
    try {
      fsyncSync(folder)
    } finally {
      closeSync(folder)
    }
  } catch {
    // Not every platform and file system can sync a folder; the record is in place all the same.
  }
}

/** Removes a file that may not be there, or may not be removed. */
export function removeQuietly(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // It was never made, or somebody else was faster.
  }
}

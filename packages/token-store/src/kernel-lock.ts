import { accessSync, type BigIntStats, chmodSync, closeSync, constants, fsyncSync, linkSync, openSync, writeSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { createNew, identityOf, lstatOf, removeQuietly, systemCode, temporaryName, unavailable, unsafe } from './private-file.ts'

type Sqlite = typeof import('node:sqlite')

/** The kernel's lock on a guard file, held until `release` or until this process dies, also while it is stopped. */
export interface KernelLock {
  /** The guard's identity, for the owner record. */
  readonly identity: string
  /** Whether the guard at this path is still the one that is locked: who deletes it makes the next process lock another file. */
  intact(): boolean
  release(): void
}

/** Takes kernel locks. One per program is enough. */
export interface KernelLocks {
  /**
   * Tries once, without waiting. undefined: somebody else holds it.
   *
   * @throws `MCPAUTH_STORE_UNSAFE` a guard that cannot exclude anybody.
   * @throws `MCPAUTH_STORE_UNAVAILABLE` a guard that cannot be made or written.
   */
  tryTake(path: string): KernelLock | undefined
}

/**
 * Locks that the kernel gives up when their holder dies: `BEGIN IMMEDIATE` on a small SQLite database takes POSIX byte-range locks, which
 * Node offers nowhere else. Never committed, always rolled back, so nothing is written and nothing synced.
 *
 * undefined where Node was started without `node:sqlite`.
 */
export function kernelLocks(load: () => Sqlite | undefined = loadSqlite): KernelLocks | undefined {
  const sqlite = load()
  return sqlite && { tryTake: (path) => tryTake(sqlite, path) }
}

function tryTake(sqlite: Sqlite, path: string): KernelLock | undefined {
  const identity = checkedIdentity(path, lstatOf(path) ?? madeGuard(path))
  // mode=rw never creates: a database of zero bytes would write a journal at every lock.
  const database = lockDatabase(sqlite, new URL('?mode=rw', pathToFileURL(path)), path)
  if (!database) return undefined
  const intact = (): boolean => {
    const stat = lstatOf(path)
    return stat !== undefined && identityOf(stat) === identity
  }
  if (!intact()) {
    release(database)
    return undefined
  }
  return { identity, intact, release: () => release(database) }
}

function lockDatabase(sqlite: Sqlite, url: URL, path: string): DatabaseSync | undefined {
  let database: DatabaseSync | undefined
  try {
    database = new sqlite.DatabaseSync(url, { timeout: 0, enableForeignKeyConstraints: false })
    database.exec('BEGIN IMMEDIATE')
    return database
  } catch (error) {
    database?.close()
    return interpret(error, path)
  }
}

const SQLITE_BUSY = 5
/** What a bit of the guard that has flipped is called: SQLITE_READONLY (a format of the future), SQLITE_CORRUPT, SQLITE_NOTADB. */
const damaged: readonly unknown[] = [8, 11, 26]

function interpret(error: unknown, path: string): undefined {
  const code = (error as { errcode?: unknown }).errcode
  if (typeof code === 'number' && (code & 0xff) === SQLITE_BUSY) return undefined
  if (damaged.includes(code)) throw unsafe(path, 'is damaged', 'delete it while no program that uses mcpauth runs')
  throw unavailable(`locking ${path}`, error)
}

function release(database: DatabaseSync): void {
  try {
    database.exec('ROLLBACK')
  } finally {
    database.close()
  }
}

/** Makes the guard once, complete from the first moment: a temporary file, synced, put in place by a link that fails if there is one. */
function madeGuard(path: string): BigIntStats | undefined {
  const temporary = temporaryName(path)
  try {
    const file = openSync(temporary, createNew, 0o600)
    try {
      writeSync(file, emptyDatabase())
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    linkSync(temporary, path)
  } catch (error) {
    // Another process was first, or it swept our temporary file up as an orphan: the next round sees.
    if (systemCode(error) !== 'EEXIST' && !lstatOf(path)) throw unavailable(`making ${path}`, error)
  } finally {
    removeQuietly(temporary)
  }
  return lstatOf(path)
}

/**
 * What a guard must be. On one that this process may not write, `BEGIN IMMEDIATE` succeeds and locks nothing; through a link, it locks
 * somebody else's file. The guard is never opened here: closing any descriptor of it would drop the lock of the whole process.
 */
function checkedIdentity(path: string, stat: BigIntStats | undefined): string {
  if (!stat) throw unavailable(`locking ${path}`, { code: 'ENOENT' })
  if (stat.isSymbolicLink()) throw unsafe(path, 'is a symbolic link', 'remove the link')
  if (!stat.isFile()) throw unsafe(path, 'is not a regular file', 'remove it')
  const own = process.geteuid?.()
  if (own !== undefined && Number(stat.uid) !== own) {
    throw unsafe(path, 'belongs to another user', 'remove it, or name a folder of your own with MCPAUTH_AUTH_DIR')
  }
  try {
    // Whoever may open the guard can hold it for ever.
    if (own !== undefined && (Number(stat.mode) & 0o777) !== 0o600) chmodSync(path, 0o600)
    accessSync(path, constants.R_OK | constants.W_OK)
  } catch (error) {
    throw unavailable(`locking ${path}`, error)
  }
  return identityOf(stat)
}

/** One page of 512 bytes, the smallest valid database (https://www.sqlite.org/fileformat.html). */
function emptyDatabase(): Uint8Array {
  const page = Buffer.alloc(512)
  page.write('SQLite format 3\0', 0, 'latin1')
  page.writeUInt16BE(512, 16) // page size
  page.set([1, 1, 0, 64, 32, 32], 18) // rollback journal, no reserved bytes, the fixed payload fractions
  page.writeUInt32BE(1, 24) // change counter
  page.writeUInt32BE(1, 28) // pages
  page.writeUInt32BE(4, 44) // schema format
  page.writeUInt32BE(1, 56) // UTF-8
  page.writeUInt32BE(1, 92) // the change counter that the page count is valid for
  page.writeUInt32BE(3_045_000, 96) // written by this version of SQLite
  page[100] = 0x0d // an empty leaf of the schema table
  page.writeUInt16BE(512, 105) // whose cells begin at the page's end
  return page
}

/** Node 22 prints a warning when the module is loaded; it must reach nobody's terminal, and hide no other. */
function loadSqlite(): Sqlite | undefined {
  const emitWarning = process.emitWarning
  process.emitWarning = ((...warning: Parameters<typeof emitWarning>) => {
    if (!String(warning[0]).startsWith('SQLite is an experimental feature')) emitWarning.apply(process, warning)
  }) as typeof emitWarning
  try {
    return process.getBuiltinModule('node:sqlite')
  } catch {
    return undefined
  } finally {
    process.emitWarning = emitWarning
  }
}

import { readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import {
  type HeldRecord,
  McpAuthError,
  publish,
  type StoreKey,
  type TokenRecord,
  type TokenStore,
  type TransactOptions
} from '@mcpauth/core'
import { type FileLock, type FileLockOptions, fileLock, type HeldLock } from './file-lock.ts'
import { writeAfterRelease } from './memory-store.ts'
import { readPrivateFile, replacePrivateFile, systemCode, unavailable } from './private-file.ts'
import { canonicalKey, storeFileName } from './store-key.ts'
import { ensureFolderOf, noRoot, storeRoot } from './store-root.ts'
import {
  holdsSomething,
  maxRecordBytes,
  type ParsedRecord,
  parseBoundRecord,
  parseRecord,
  serializeRecord,
  tombstoneOf
} from './token-record.ts'

/** Options of {@link fileStore}. */
export interface FileStoreOptions extends FileLockOptions {
  /** Another lock in place of the one beside the files. @default `fileLock` with the same options */
  lock?: FileLock
}

/** A {@link TokenStore} that another process can open as well. */
export interface FileStore extends TokenStore {
  /** The folder of its files; undefined when this user has no home folder. */
  readonly root: string | undefined
  /** The folder of its lock's files, where another process finds them. */
  readonly lockRoot?: string | undefined
}

/** How long a damaged file may wait for its lock before it is left where it is, in milliseconds. */
const setAsideDeadlineMs = 1_000

/**
 * Keeps tokens in files, one per server, private to this user, and lets one process at a time replace them.
 *
 * A file is replaced in one step and synced to the disk. One that is damaged, or that says it belongs to another server, is moved aside with a
 * `mcpauth:store:warning` event and reads as absent. Links, foreign owners and files that are not regular are refused; wide permissions are
 * taken away with a warning.
 *
 * Reading needs no lock and no writable disk. What cannot be written is `MCPAUTH_STORE_UNAVAILABLE` with what to do about it.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 *
 * @example
 * ```ts
 * import { fileStore } from '@mcpauth/token-store'
 *
 * const store = fileStore({ root: '/var/lib/agent/tokens' })
 * const keys = await store.list()
 * ```
 */
export function fileStore(options: FileStoreOptions = {}): FileStore {
  const { lock = fileLock(options), probe = {} } = options
  // biome-ignore lint/style/noProcessEnv: only a default, as in fileLock
  const root = options.lock && options.root === undefined ? lock.root : storeRoot(options.root, options.env ?? process.env)
  const warned = new Set<string>()

  function warnOnce(problem: string, path: string, facts: Readonly<Record<string, unknown>>): void {
    const warning = `${problem} ${path}`
    if (warned.has(warning)) return
    warned.add(warning)
    publish('mcpauth:store:warning', { problem, path, ...facts })
  }

  function pathOf(key: StoreKey): string {
    if (root === undefined) throw noRoot()
    return `${join(root, storeFileName(key))}.json`
  }

  async function parsedAt(path: string, key: StoreKey): Promise<ParsedRecord | undefined> {
    const bytes = await readPrivateFile(path, maxRecordBytes, (file, mode, tightened) =>
      warnOnce('wide-mode', file, { mode: mode.toString(8), tightened })
    )
    return bytes && parseRecord(bytes, key)
  }

  async function read(key: StoreKey): Promise<TokenRecord | undefined> {
    if (root === undefined) return undefined
    const path = pathOf(key)
    const parsed = await parsedAt(path, key)
    if (parsed?.outcome !== 'damaged') return usable(parsed, path)
    // Only under the lock: between our look and a rename, another process may have put a good file in its place.
    await transact(key, (held) => held.read(), { deadlineMs: setAsideDeadlineMs }).catch(() =>
      warnOnce('damaged', path, { reason: parsed.reason })
    )
    return undefined
  }

  async function transact<T>(key: StoreKey, work: (held: HeldRecord) => Promise<T>, deadlines: TransactOptions): Promise<T> {
    return await lock.hold(key, (held) => withRecord(canonicalKey(key), held, work), deadlines)
  }

  async function withRecord<T>(key: StoreKey, held: HeldLock, work: (held: HeldRecord) => Promise<T>): Promise<T> {
    const path = pathOf(key)
    let over = false
    let looked = false

    async function readHeld(): Promise<TokenRecord | undefined> {
      const parsed = await parsedAt(path, key)
      looked = true
      if (parsed?.outcome !== 'damaged') return usable(parsed, path)
      setAside(path, parsed.reason)
      return undefined
    }

    async function write(record: TokenRecord): Promise<void> {
      if (over) throw writeAfterRelease(key)
      const bytes = serializeRecord(record, key)
      // Nobody writes unread: a record of a newer version is not overwritten, and a damaged one is kept for who wants to look at it.
      if (!looked) await readHeld()
      await replace(path, bytes)
    }

    async function clear(): Promise<void> {
      const current = await readHeld()
      if (current) await write(tombstoneOf(current))
    }

    try {
      return await work({
        read: readHeld,
        write,
        clear,
        get lost() {
          return held.lost
        }
      })
    } finally {
      over = true
    }
  }

  async function replace(path: string, bytes: Uint8Array): Promise<void> {
    try {
      // A lock of ours has just looked at the folder.
      if (options.lock) lookAtFolderOf(path)
      await put(path, bytes).catch(async (error) => {
        if (systemCode((error as McpAuthError).cause) !== 'ENOENT') throw error
        // Somebody has deleted the folder meanwhile; a refreshed token exists nowhere else.
        lookAtFolderOf(path)
        await put(path, bytes)
      })
    } catch (error) {
      const failure = unavailable(`writing ${path}`, error)
      publish('mcpauth:store:warning', { problem: 'write-failed', path, code: systemCode(failure.cause), hint: failure.hint })
      throw failure
    }
  }

  /** Where there is a path there is a root. */
  function lookAtFolderOf(path: string): void {
    ensureFolderOf(root as string, path, (folder, mode) => warnOnce('wide-mode', folder, { mode: mode.toString(8), tightened: true }))
  }

  async function put(path: string, bytes: Uint8Array): Promise<void> {
    if (probe.replaceFile) await probe.replaceFile(path, bytes)
    else await replacePrivateFile(path, bytes, probe.at)
  }

  function setAside(path: string, reason: string): void {
    try {
      renameSync(path, `${path}.damaged`)
      publish('mcpauth:store:warning', { problem: 'damaged', path, reason, movedTo: `${path}.damaged` })
    } catch (error) {
      warnOnce('damaged', path, { reason, code: systemCode(error) })
    }
  }

  async function list(): Promise<StoreKey[]> {
    if (root === undefined) return []
    const folders = [
      ['server', ''],
      ['client', 'clients'],
      ['identity', 'identities']
    ] as const
    const keys = await Promise.all(folders.map(([kind, folder]) => keysIn(join(root, folder), kind)))
    return keys.flat()
  }

  async function keysIn(folder: string, kind: StoreKey['kind']): Promise<StoreKey[]> {
    const keys: StoreKey[] = []
    for (const name of namesIn(folder)) {
      const key = await keyAt(join(folder, name), kind)
      if (key) keys.push(key)
    }
    return keys
  }

  /** The key that a file says it is for. A record that was copied in and says nothing has none: only its user knows its server. */
  async function keyAt(path: string, kind: StoreKey['kind']): Promise<StoreKey | undefined> {
    const bytes = await readPrivateFile(path, maxRecordBytes, () => undefined).catch(() => undefined)
    const bound = bytes && parseBoundRecord(bytes, kind)
    return bound && holdsSomething(bound.record, kind) && pathOf(bound.key) === path ? bound.key : undefined
  }

  return { root, lockRoot: lock.root, read, list, transact }
}

function usable(parsed: ParsedRecord | undefined, path: string): TokenRecord | undefined {
  if (parsed?.outcome !== 'newer') return parsed?.outcome === 'record' ? parsed.record : undefined
  throw new McpAuthError('MCPAUTH_STORE_NEWER', `${path} was written by a newer version of mcpauth (format ${parsed.version})`, {
    hint: 'update mcpauth in this program, or give it a folder of its own with MCPAUTH_AUTH_DIR'
  })
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /^[0-9a-f]{64}\.json$/.test(name))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw unavailable(`reading ${folder}`, error)
  }
}

import {
  type HeldRecord,
  McpAuthError,
  publish,
  type StoreKey,
  type TokenRecord,
  type TokenStore,
  type TransactOptions
} from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'

/** A {@link HeldRecord} that can also keep what nobody else has yet. */
export interface HeldSession extends HeldRecord {
  /**
   * Writes a new grant or registration; in memory where the store cannot. Never for a refreshed record: other processes would go on to send the
   * refresh token that it has used up.
   */
  keep(record: TokenRecord): Promise<void>
}

/** A store whose session goes on in memory when there is no place to write. */
export interface SessionStore extends TokenStore {
  transact<T>(key: StoreKey, work: (held: HeldSession) => Promise<T>, options: TransactOptions): Promise<T>
  /** Whether the newest record of a key is one that could not be written. */
  isInMemory(key: StoreKey): Promise<boolean>
  /** What keeps the store from being used. */
  trouble(): McpAuthError | undefined
}

/** The newest record of a key, and where it is. */
interface Newest {
  record: TokenRecord | undefined
  inMemory: boolean
}

/**
 * Wraps a store so that a full or read-only disk, a missing home or a missing permission does not end the session: what is new is kept in memory,
 * with one `mcpauth:store:warning` event. The store is tried again each time, and nothing in it is lost.
 *
 * The lock is gone without only where there is nothing to protect: a stored refresh token is shared with other processes and never used without it.
 *
 * @throws `MCPAUTH_STORE_UNAVAILABLE` a stored refresh token would have to be used, or a stored token deleted
 */
export function sessionStore(store: TokenStore): SessionStore {
  const memory = memoryStore()
  let trouble: McpAuthError | undefined

  function goOn(error: McpAuthError): void {
    if (!trouble) publish('mcpauth:store:warning', { problem: 'in-memory', what: error.message, hint: error.hint })
    trouble ??= error
  }

  /** What is stored; a cache that this user may not even look at is none. */
  async function stored(key: StoreKey): Promise<TokenRecord | undefined> {
    try {
      return await store.read(key)
    } catch (error) {
      if (!isUnavailable(error) || !isForbidden(error)) throw error
      goOn(error)
      return undefined
    }
  }

  async function newest(key: StoreKey, read: () => Promise<TokenRecord | undefined> = () => stored(key)): Promise<Newest> {
    const record = await read()
    const ours = trouble && (await memory.read(key))
    const inMemory = ours !== undefined && (record === undefined || (ours.generation ?? 0) > (record.generation ?? 0))
    return { record: inMemory ? ours : record, inMemory }
  }

  async function remember(key: StoreKey, record: TokenRecord, error: McpAuthError): Promise<void> {
    goOn(error)
    await memory.transact(key, (held) => held.write(record), { deadlineMs: 1_000 })
  }

  async function transact<T>(key: StoreKey, work: (held: HeldSession) => Promise<T>, options: TransactOptions): Promise<T> {
    let began = false
    let kept: TokenRecord | undefined
    let done: { result: T } | undefined

    function session(held: HeldRecord): HeldSession {
      return {
        read: async () => (await newest(key, held.read)).record,
        write: held.write,
        clear: () => clearBoth(key, held),
        keep: async (record) => {
          kept = record
          await held.write(record).catch((error) => rememberIfUnavailable(key, record, error))
        },
        get lost() {
          return held.lost
        }
      }
    }

    try {
      return await store.transact(
        key,
        async (held) => {
          began = true
          done = { result: await work(session(held)) }
          return done.result
        },
        options
      )
    } catch (error) {
      if (!isUnavailable(error)) throw error
      if (!began) return await withoutLock(key, work, options, error)
      // A database commits when the work is over, and may fail only then.
      if (!done || !kept) throw error
      await remember(key, kept, error)
      return done.result
    }
  }

  async function rememberIfUnavailable(key: StoreKey, record: TokenRecord, error: unknown): Promise<void> {
    if (!isUnavailable(error)) throw error
    await remember(key, record, error)
  }

  async function clearBoth(key: StoreKey, held: HeldRecord): Promise<void> {
    await held.clear()
    await memory.transact(key, (ours) => ours.clear(), { deadlineMs: 1_000 })
  }

  /** The store's lock cannot be taken. */
  async function withoutLock<T>(
    key: StoreKey,
    work: (held: HeldSession) => Promise<T>,
    options: TransactOptions,
    error: McpAuthError
  ): Promise<T> {
    const { record, inMemory } = await newest(protectedBy(key))
    if (!inMemory && record?.refresh_token !== undefined) throw error
    goOn(error)
    return await memory.transact(
      key,
      async (held) => {
        const clear = async (): Promise<void> => {
          await held.clear()
          // What is still stored is still good: who logs out must know.
          if ((await stored(key))?.access_token !== undefined) throw error
        }
        const read = async (): Promise<TokenRecord | undefined> => (await newest(key)).record
        return await work({ read, write: held.write, keep: held.write, clear, lost: held.lost })
      },
      options
    )
  }

  return {
    ...store,
    read: async (key) => (await newest(key)).record,
    list: () => store.list(),
    transact,
    isInMemory: async (key) => (await newest(key)).inMemory,
    trouble: () => trouble
  }
}

/** A login replaces the server's record, so that is what its lock protects. */
function protectedBy(key: StoreKey): StoreKey {
  return key.kind === 'login' ? { ...key, kind: 'server' } : key
}

function isUnavailable(error: unknown): error is McpAuthError {
  return McpAuthError.is(error) && error.code === 'MCPAUTH_STORE_UNAVAILABLE'
}

/** As against a store that cannot be reached now: what it holds may well be needed. */
function isForbidden({ cause }: McpAuthError): boolean {
  const code = (cause as { code?: unknown } | undefined)?.code
  return code === 'EACCES' || code === 'EPERM' || code === 'ENOTDIR'
}

import {
  type HeldRecord,
  invalidOption,
  McpAuthError,
  publish,
  type StoreKey,
  type TokenRecord,
  type TokenStore,
  type TransactOptions
} from '@mcpauth/core'
import {
  canonicalKey,
  describeKey,
  type FileLock,
  fileLock,
  holdsSomething,
  parseRecord,
  serializeRecord,
  storeFileName,
  tombstoneOf
} from '@mcpauth/token-store'
import { discreet, type Keychain, osKeychain } from './keychain.ts'
import { splitRecords } from './split-record.ts'

/** Options of {@link keyringStore}. */
export interface KeyringStoreOptions {
  /** The name under which entries stand in the keychain. @default 'mcpauth' */
  service?: string
  /** Keeps one process at a time at a record. Its files hold no secret. @default `fileLock()` */
  lock?: FileLock
  /** What is used instead when no keychain answers. @default none: `MCPAUTH_STORE_UNAVAILABLE` */
  fallback?: TokenStore
  /** The longest entry, in characters; longer records are split. @default 1200 on Windows, else 65536 */
  maxEntryLength?: number
  /** Another keychain. @default the operating system's */
  keychain?: Keychain
}

/**
 * Keeps records in the operating system's keychain: macOS Keychain, Windows Credential Manager, Secret Service. The lock between processes is the file lock of
 * `@mcpauth/token-store`, whose files hold no secret.
 *
 * Where no keychain answers, every method throws, or `fallback` takes over for the life of this store, with a `mcpauth:store:warning` event.
 *
 * @throws `MCPAUTH_INVALID_OPTION` at construction; `MCPAUTH_STORE_UNAVAILABLE`, `MCPAUTH_STORE_NEWER` and the codes of the lock from its methods.
 *
 * @example
 * ```ts
 * import { withOAuth } from '@mcpauth/oauth'
 * import { fileStore } from '@mcpauth/token-store'
 * import { keyringStore } from '@mcpauth/token-store-keyring'
 *
 * export const layer = withOAuth('https://mcp.example.com/mcp', { store: keyringStore({ fallback: fileStore() }) })
 * ```
 */
export function keyringStore(options: KeyringStoreOptions = {}): TokenStore {
  const { service = 'mcpauth', lock = fileLock(), fallback, maxEntryLength = process.platform === 'win32' ? 1200 : 65_536 } = options
  if (service === '') throw invalidOption('service', 'is empty')
  if (!Number.isInteger(maxEntryLength) || maxEntryLength < 256)
    throw invalidOption('maxEntryLength', 'is not a whole number of at least 256')
  const keychain = discreet(options.keychain ?? osKeychain(service))
  const own = keychainStore(splitRecords(keychain, maxEntryLength), lock)
  if (!fallback) return own

  let chosen: Promise<TokenStore> | undefined
  /** Asked once: a store that changed its place in the middle would have two truths. */
  async function choose(): Promise<TokenStore> {
    try {
      await keychain.get('mcpauth-probe')
      return own
    } catch (error) {
      publish('mcpauth:store:warning', { store: 'keyring', problem: 'no-keychain', hint: McpAuthError.is(error) ? error.hint : undefined })
      return fallback as TokenStore
    }
  }
  function store(): Promise<TokenStore> {
    chosen ??= choose()
    return chosen
  }

  return {
    read: async (key) => (await store()).read(key),
    list: async () => (await store()).list(),
    transact: async (key, work, transact) => (await store()).transact(key, work, transact)
  }
}

function keychainStore(records: ReturnType<typeof splitRecords>, lock: FileLock): TokenStore {
  async function read(key: StoreKey): Promise<TokenRecord | undefined> {
    const found = await records.read(storeFileName(key))
    if (!found) return undefined
    const parsed = typeof found === 'string' ? { outcome: found, reason: 'is no record, or has lost a part' } : parseRecord(found, key)
    if (parsed.outcome === 'record') return parsed.record
    if (parsed.outcome === 'newer') {
      throw new McpAuthError('MCPAUTH_STORE_NEWER', `the record of ${describeKey(key)} was written by a newer version`, {
        hint: 'update mcpauth'
      })
    }
    publish('mcpauth:store:warning', { store: 'keyring', problem: 'damaged', key: describeKey(key), reason: parsed.reason })
    return undefined
  }

  async function list(): Promise<StoreKey[]> {
    const keys = await records.list()
    const live = await Promise.all(
      keys.map(async (key) => {
        const record = key.kind === 'login' ? undefined : await read(key).catch(passOver)
        return record !== undefined && holdsSomething(record, key.kind)
      })
    )
    return keys.filter((_key, index) => live[index])
  }

  function transact<T>(key: StoreKey, work: (held: HeldRecord) => Promise<T>, options: TransactOptions): Promise<T> {
    const canonical = canonicalKey(key)
    async function write(record: TokenRecord): Promise<void> {
      // Reads first: a record of a newer version is not overwritten.
      await read(key)
      await records.write(storeFileName(key), canonical, serializeRecord(record, canonical))
    }
    return lock.hold(
      key,
      (held) =>
        work({
          read: () => read(key),
          write,
          clear: async () => {
            const current = await read(key)
            if (current) await write(tombstoneOf(current))
          },
          get lost() {
            return held.lost
          }
        }),
      options
    )
  }

  return { read, list, transact }
}

/** One record of a newer version does not hide the others. */
function passOver(error: unknown): undefined {
  if (!McpAuthError.is(error) || error.code !== 'MCPAUTH_STORE_NEWER') throw error
}

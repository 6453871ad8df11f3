import { AsyncLocalStorage } from 'node:async_hooks'
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
import { canonicalKey, describeKey, holdsSomething, parseRecord, serializeRecord, storeFileName, tombstoneOf } from '@mcpauth/token-store'
import type { Pool, PoolClient } from 'pg'
import { type EncryptionKeySource, plaintext, type RecordCipher, recordCipher, type SealedRecord } from './encryption.ts'
import { withLease } from './lease.ts'
import { reachable } from './reachable.ts'
import { lockRow } from './row-lock.ts'
import { schemaSql } from './schema.ts'

/** The part of a `pg` pool that is used; structural, so that no type of `pg` is forced on anybody. */
export interface PostgresPool {
  // biome-ignore lint/suspicious/noExplicitAny: every major of pg declares its own overloads
  query(...parameters: any[]): any
  // biome-ignore lint/suspicious/noExplicitAny: the same
  connect(...parameters: any[]): any
}

/** Options of {@link postgresStore}. */
export interface PostgresStoreOptions {
  /** A `pg` Pool. A refresh pins one of its connections; the hot path reads nothing. Ours to use, not to end. */
  pool: PostgresPool
  /** AES-256 keys: the first seals, all open. */
  encryptionKey?: EncryptionKeySource | readonly EncryptionKeySource[]
  /** Leaves tokens readable to everybody who can read the table or a backup of it. */
  dangerouslyStorePlaintext?: boolean
  /** Where `{ env }` keys are looked up. @default process.env */
  env?: Readonly<Record<string, string | undefined>>
}

/** A store in PostgreSQL. */
export interface PostgresStore extends TokenStore {
  /** Makes the tables when they are not there. Can be run any number of times. */
  ensureSchema(): Promise<void>
}

/**
 * Keeps records in PostgreSQL, for agents on several machines: lock, re-read and write are one transaction on the record's row, and a dead holder's lock falls
 * with its connection. Works behind PgBouncer in transaction mode. Run {@link PostgresStore.ensureSchema} once, or the SQL of the documentation.
 *
 * @throws `MCPAUTH_INVALID_OPTION` no `pool`, or neither a key nor `dangerouslyStorePlaintext`.
 * @throws `MCPAUTH_STORE_UNAVAILABLE` from every method: the database cannot be reached.
 *
 * @example
 * ```ts
 * import { withOAuth } from '@mcpauth/oauth'
 * import { postgresStore } from '@mcpauth/token-store-postgres'
 * import { Pool } from 'pg'
 *
 * const store = postgresStore({ pool: new Pool({ keepAlive: true }), encryptionKey: { env: 'MCPAUTH_ENCRYPTION_KEY' } })
 * await store.ensureSchema()
 * export const layer = withOAuth('https://mcp.example.com/mcp', { store })
 * ```
 */
export function postgresStore(options: PostgresStoreOptions): PostgresStore {
  const cipher = cipherOf(options)
  if (typeof options.pool?.connect !== 'function') throw invalidOption('pool', 'is not a pg Pool')
  const pool = options.pool as unknown as Pool
  const held = new AsyncLocalStorage<ReadonlySet<string>>()

  function rowOf(key: StoreKey): Row {
    return { name: storeFileName(key), kind: key.kind, key: JSON.stringify(canonicalKey(key)), storeKey: key }
  }

  function read(key: StoreKey): Promise<TokenRecord | undefined> {
    return reachable(() => readRow(pool, cipher, rowOf(key)))
  }

  async function list(): Promise<StoreKey[]> {
    return reachable(async () => {
      const { rows } = await pool.query<{ key: StoreKey }>(
        "SELECT key FROM mcpauth_records WHERE live AND kind <> 'login' ORDER BY updated_at"
      )
      return rows.map(({ key }) => key)
    })
  }

  function transact<T>(key: StoreKey, work: (record: HeldRecord) => Promise<T>, options: TransactOptions): Promise<T> {
    const row = rowOf(key)
    const outer = held.getStore() ?? new Set()
    if (outer.has(row.name)) return Promise.reject(reentrant(key))
    return held.run(new Set([...outer, row.name]), () =>
      key.kind === 'login' ? transactUnderLease(pool, cipher, row, work, options) : transactUnderRowLock(pool, cipher, row, work, options)
    )
  }

  async function ensureSchema(): Promise<void> {
    await reachable(() => pool.query(schemaSql))
  }

  return { read, list, transact, ensureSchema }
}

interface Row {
  readonly name: string
  readonly kind: StoreKey['kind']
  readonly key: string
  readonly storeKey: StoreKey
}

type Queryable = Pick<PoolClient, 'query'>

function cipherOf({ encryptionKey, dangerouslyStorePlaintext, env = environment() }: PostgresStoreOptions): RecordCipher {
  if (encryptionKey !== undefined)
    return recordCipher(Array.isArray(encryptionKey) ? encryptionKey : [encryptionKey as EncryptionKeySource], env)
  if (dangerouslyStorePlaintext) return plaintext
  throw invalidOption('encryptionKey', 'is missing', 'make one with: openssl rand -base64 32; or pass dangerouslyStorePlaintext: true')
}

function environment(): Readonly<Record<string, string | undefined>> {
  // biome-ignore lint/style/noProcessEnv: the default of an option, and the only place of this package that looks at the environment
  return process.env
}

async function readRow(database: Queryable, cipher: RecordCipher, row: Row): Promise<TokenRecord | undefined> {
  const { rows } = await database.query<{ key_id: string | null; record: Buffer | null }>(
    'SELECT key_id, record FROM mcpauth_records WHERE name = $1',
    [row.name]
  )
  const [found] = rows
  if (!found?.record) return undefined
  const sealed: SealedRecord = { keyId: found.key_id, bytes: found.record }
  const bytes = cipher.open(sealed, row.name)
  const parsed = bytes ? parseRecord(bytes, row.storeKey) : ({ outcome: 'damaged', reason: 'was changed in the database' } as const)
  if (parsed.outcome === 'newer') throw newer(row.storeKey)
  if (parsed.outcome === 'record') return parsed.record
  publish('mcpauth:store:warning', { store: 'postgres', key: describeKey(row.storeKey), reason: parsed.reason })
  return undefined
}

async function writeRow(database: Queryable, cipher: RecordCipher, row: Row, record: TokenRecord): Promise<void> {
  const { keyId, bytes } = cipher.seal(serializeRecord(record, row.storeKey), row.name)
  await database.query(
    `INSERT INTO mcpauth_records (name, kind, key, key_id, record, live) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (name) DO UPDATE SET key_id = excluded.key_id, record = excluded.record, live = excluded.live, updated_at = now()`,
    [row.name, row.kind, row.key, keyId, bytes, holdsSomething(record, row.kind)]
  )
}

/**
 * Lock, re-read, write in one transaction. A write commits at once, so that the caller knows it is durable before it uses the token; whatever `work` still does
 * afterwards takes the lock anew.
 */
async function transactUnderRowLock<T>(
  pool: Pool,
  cipher: RecordCipher,
  row: Row,
  work: (record: HeldRecord) => Promise<T>,
  options: TransactOptions
): Promise<T> {
  const client = await reachable(() => connect(pool, options.waiter))
  const lost = new AbortController()
  let broken: Error | undefined
  let open = false
  function onError(error: Error): void {
    broken = error
    lost.abort(new Error('the database connection was lost'))
  }
  client.on('error', onError)

  async function locked(): Promise<void> {
    if (open) return
    await lockRow(client, row, options)
    open = true
  }
  async function commit(change: () => Promise<void>): Promise<void> {
    await reachable(async () => {
      await locked()
      await change()
      await client.query('COMMIT')
      open = false
    })
  }
  const record: HeldRecord = {
    lost: lost.signal,
    read: () =>
      reachable(async () => {
        await locked()
        return readRow(client, cipher, row)
      }),
    write: (next) => commit(() => writeRow(client, cipher, row, next)),
    clear: () =>
      commit(async () => {
        const before = await readRow(client, cipher, row)
        if (before) await writeRow(client, cipher, row, tombstoneOf(before))
      })
  }

  try {
    await reachable(locked)
    options.waiter?.throwIfAborted()
    return await work(record)
  } finally {
    client.off('error', onError)
    if (open && !broken) {
      await client.query('ROLLBACK').catch((error: Error) => {
        broken = error
      })
    }
    // A connection in an unknown state is not given back to others.
    client.release(broken)
  }
}

/** A caller that leaves while it waits for a connection gives it back when it comes. */
async function connect(pool: Pool, waiter: AbortSignal | undefined): Promise<PoolClient> {
  waiter?.throwIfAborted()
  const connecting = pool.connect()
  if (!waiter) return connecting
  const { promise, reject } = Promise.withResolvers<never>()
  const leave = (): void => reject(waiter.reason)
  waiter.addEventListener('abort', leave, { once: true })
  try {
    return await Promise.race([connecting, promise])
  } catch (error) {
    connecting.then(
      (client) => client.release(),
      () => undefined
    )
    throw error
  } finally {
    waiter.removeEventListener('abort', leave)
  }
}

function transactUnderLease<T>(
  pool: Pool,
  cipher: RecordCipher,
  row: Row,
  work: (record: HeldRecord) => Promise<T>,
  options: TransactOptions
): Promise<T> {
  return withLease(
    pool,
    row.name,
    (lost) =>
      work({
        lost,
        read: () => reachable(() => readRow(pool, cipher, row)),
        write: (next) => reachable(() => writeRow(pool, cipher, row, next)),
        clear: () => reachable(async () => void (await pool.query('DELETE FROM mcpauth_records WHERE name = $1', [row.name])))
      }),
    options
  )
}

function reentrant(key: StoreKey): McpAuthError {
  return new McpAuthError('MCPAUTH_LOCK_REENTRANT', `code that holds the lock of ${describeKey(key)} asks for it again`, {
    hint: 'do the work inside the first transact, or after it'
  })
}

function newer(key: StoreKey): McpAuthError {
  return new McpAuthError('MCPAUTH_STORE_NEWER', `the record of ${describeKey(key)} was written by a newer version`, {
    hint: 'update mcpauth'
  })
}

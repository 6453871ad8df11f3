import { hostname } from 'node:os'
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
import { createTurns, describeKey, holding, refuseReentry, tombstoneOf } from '@mcpauth/token-store'
import type { Pool } from 'pg'
import { type EncryptionKeySource, plaintext, type RecordCipher, recordCipher } from './encryption.ts'
import { withLease } from './lease.ts'
import { isPassing, limited, reachable } from './reachable.ts'
import { openRecord, type RowName, readRow, rowOf, sealRecord, writeRow } from './record-rows.ts'
import { rowTimeout } from './row-lock.ts'
import { transactUnderRowLock } from './row-transaction.ts'
import { schemaUnderLockSql } from './schema.ts'

/** The part of a `pg` pool that is used; structural, so that no type of `pg` is forced on anybody. */
export interface PostgresPool {
  // biome-ignore lint/suspicious/noExplicitAny: every major of pg declares its own overloads
  query(...parameters: any[]): any
  // biome-ignore lint/suspicious/noExplicitAny: the same
  connect(...parameters: any[]): any
  // biome-ignore lint/suspicious/noExplicitAny: the same
  on?(event: 'error', listener: (error: Error) => void): any
  listenerCount?(event: 'error'): number
}

/** Options of {@link postgresStore}. */
export interface PostgresStoreOptions {
  /** A `pg` Pool. A refresh pins one of its connections; the hot path reads nothing. Ours to use, not to end. */
  pool: PostgresPool
  /** AES-256 keys: the first seals, all open. */
  encryptionKey?: EncryptionKeySource | readonly EncryptionKeySource[]
  /**
   * Without a key: leaves tokens readable to everybody who can read the table or a backup of it. With a key: reads what was written so, and encrypts it with
   * its next write; until you take it away again, whoever can write to the table can put a record of his own there.
   *
   * @default false
   */
  dangerouslyStorePlaintext?: boolean
  /** Where `{ env }` keys are looked up. @default process.env */
  env?: Readonly<Record<string, string | undefined>>
}

/** A timer cannot be longer, and neither can PostgreSQL's `lock_timeout`. */
const longestTimerMs = 2_147_483_647

/** How long a read may take with all its waiting. */
const longestReadMs = 30_000

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
 * const store = postgresStore({ pool: new Pool({ keepAlive: true, keepAliveInitialDelayMillis: 10_000 }), encryptionKey: { env: 'MCPAUTH_ENCRYPTION_KEY' } })
 * await store.ensureSchema()
 * export const layer = withOAuth('https://mcp.example.com/mcp', { store })
 * ```
 */
export function postgresStore(options: PostgresStoreOptions): PostgresStore {
  const cipher = cipherOf(options)
  if (typeof options.pool?.connect !== 'function') throw invalidOption('pool', 'is not a pg Pool')
  surviveLostConnections(options.pool)
  const pool = options.pool as unknown as Pool
  const turns = createTurns()

  async function read(key: StoreKey): Promise<TokenRecord | undefined> {
    const row = rowOf(key)
    const sealed = await reachable(() => unlessExhausted(onceMoreWhenCut(() => readRow(pool, row))))
    return openRecord(cipher, row, sealed)
  }

  async function list(): Promise<StoreKey[]> {
    const text = "SELECT key FROM mcpauth_records WHERE live AND kind <> 'login' ORDER BY updated_at"
    const { rows } = await reachable(() => unlessExhausted(onceMoreWhenCut(() => pool.query<{ key: StoreKey }>(limited(text)))))
    return rows.map(({ key }) => key)
  }

  async function transact<T>(key: StoreKey, work: (record: HeldRecord) => Promise<T>, options: TransactOptions): Promise<T> {
    const row = rowOf(key)
    refuseReentry(turns, row.name, describeKey(key))
    const started = performance.now()
    const deadlineMs = Math.min(options.deadlineMs, longestTimerMs)
    // Those who wait in one process wait here: each would else pin a connection of the pool, until none is left for the holder of another key.
    const leave = await turns.enter(row.name, deadlineMs, options.waiter)
    if (!leave) throw rowTimeout(row, deadlineMs, `${process.pid}@${hostname()}`)
    try {
      const left = { ...options, deadlineMs: Math.max(1, deadlineMs - (performance.now() - started)) }
      const run = key.kind === 'login' ? transactUnderLease : transactUnderRowLock
      return await run(pool, cipher, row, (record) => holding(turns, row.name, () => work(record)), left)
    } finally {
      leave()
    }
  }

  async function ensureSchema(): Promise<void> {
    await reachable(() => pool.query(limited(schemaUnderLockSql, undefined, 60_000)))
  }

  return { read, list, transact, ensureSchema }
}

function cipherOf({ encryptionKey, dangerouslyStorePlaintext = false, env = environment() }: PostgresStoreOptions): RecordCipher {
  if (encryptionKey !== undefined) {
    const sources = Array.isArray(encryptionKey) ? encryptionKey : [encryptionKey as EncryptionKeySource]
    return recordCipher(sources, env, dangerouslyStorePlaintext)
  }
  if (dangerouslyStorePlaintext) return plaintext
  throw invalidOption('encryptionKey', 'is missing', 'make one with: openssl rand -base64 32; or pass dangerouslyStorePlaintext: true')
}

function environment(): Readonly<Record<string, string | undefined>> {
  // biome-ignore lint/style/noProcessEnv: the default of an option, and the only place of this package that looks at the environment
  return process.env
}

/** A pool reports an idle connection that the server has closed as an event 'error', and without a listener a restart of the database ends the process. */
function surviveLostConnections(pool: PostgresPool): void {
  if (pool.listenerCount?.('error') !== 0) return
  pool.on?.('error', () => publish('mcpauth:store:warning', { store: 'postgres', reason: 'an idle database connection was lost' }))
}

/** A read meets connections that were cut while they were idle; the next one is new. */
async function onceMoreWhenCut<T>(query: () => Promise<T>): Promise<T> {
  try {
    return await query()
  } catch (error) {
    if (!isPassing(error)) throw error
    return await query()
  }
}

/** A pool whose connections are all taken waits for ever, unless it was told not to. A read that is given up changes nothing when it is made after all. */
async function unlessExhausted<T>(reading: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(poolExhausted()), longestReadMs)
  try {
    return await Promise.race([reading, late])
  } finally {
    clearTimeout(timer)
  }
}

function poolExhausted(): McpAuthError {
  return new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', `no connection of the pool became free within ${longestReadMs / 1000} s`, {
    hint: 'make the pool larger (max), or look for connections that are never released'
  })
}

function transactUnderLease<T>(
  pool: Pool,
  cipher: RecordCipher,
  row: RowName,
  work: (record: HeldRecord) => Promise<T>,
  options: TransactOptions
): Promise<T> {
  const current = async (): Promise<TokenRecord | undefined> => openRecord(cipher, row, await reachable(() => readRow(pool, row)))
  async function put(record: TokenRecord): Promise<void> {
    // Not unread, as above.
    await current()
    await reachable(() => writeRow(pool, row, sealRecord(cipher, row, record)))
  }
  return withLease(
    pool,
    row,
    (look) =>
      work({
        get lost() {
          return look()
        },
        read: current,
        write: put,
        clear: async () => {
          const before = await current()
          if (before) await put(tombstoneOf(before))
        }
      }),
    options
  )
}

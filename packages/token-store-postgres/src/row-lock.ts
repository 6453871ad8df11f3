import { hostname } from 'node:os'
import { McpAuthError, safeText } from '@mcpauth/core'
import { describeKey } from '@mcpauth/token-store'
import type { PoolClient, QueryResult } from 'pg'
import type { SealedRecord } from './encryption.ts'
import { limited } from './reachable.ts'
import { type FoundRow, type RowName, sealedIn } from './record-rows.ts'

/**
 * How long a holder may sit in its transaction before the server ends it. Above the longest refresh (discovery 30 s, the request 60 s, the same once more), so
 * that no working holder loses its lock; a frozen one, or one whose machine is gone, blocks the others this long.
 */
export const maxIdleMs = 180_000

/** The server's own time limit comes first, since it alone can say who holds the row. */
const graceMs = 1_000

/** How `pg_stat_activity` shows whoever holds or wants a row: PostgreSQL keeps 63 bytes. */
function holderName(row: RowName): string {
  const host = hostname().replaceAll(/[^\w.-]/g, '')
  return `${tagOf(row)}${process.pid}@${host}`.slice(0, 63)
}

/** Names end with their digest, whatever folder they begin with. */
function tagOf({ name }: RowName): string {
  return `mcpauth ${/[0-9a-f]{64}/.exec(name)?.[0].slice(0, 16)} `
}

interface RowLockOptions {
  /** In the database's queue. */
  waitMs: number
  /** In all, for the words of the error. */
  deadlineMs?: number
  idleMs?: number
}

/**
 * Opens a transaction that holds a row alone, makes the row when it is not there yet, and returns what stands in it.
 *
 * @throws `MCPAUTH_LOCK_TIMEOUT` naming the holder. After any other error the connection is in an unknown state: do not give it back to others.
 */
export async function lockRow(
  client: PoolClient,
  row: RowName,
  { waitMs, deadlineMs = waitMs, idleMs = maxIdleMs }: RowLockOptions
): Promise<SealedRecord | undefined> {
  const until = performance.now() + waitMs
  const left = (): number => Math.max(1, Math.ceil(until - performance.now()))
  const look = `SELECT key_id, record FROM mcpauth_records WHERE name = ${client.escapeLiteral(row.name)} FOR UPDATE`
  // One message, one round trip: a row's lock is what everybody else waits for.
  let statements = `${opening(client, row, left(), idleMs)}; ${look}`
  try {
    for (;;) {
      const results = (await client.query(limited(statements, undefined, left() + graceMs))) as unknown as readonly QueryResult<FoundRow>[]
      const found = results.at(-1)?.rows[0]
      if (found) return sealedIn(found)
      // Nobody's row can be locked: make it, or wait for whoever is making it, and look again; a row can also go between two looks.
      const insert = 'INSERT INTO mcpauth_records (name, kind, key) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING'
      await client.query(limited(insert, [row.name, row.kind, row.key], left() + graceMs))
      statements = `SET LOCAL lock_timeout = ${left()}; ${look}`
    }
  } catch (error) {
    if ((error as { code?: unknown }).code !== '55P03' /* lock_not_available */) throw error
    await client.query(limited('ROLLBACK'))
    throw await lockTimeout(client, row, deadlineMs)
  }
}

/**
 * Everything is said for this transaction alone: behind PgBouncer the connection is someone else's afterwards. What a role or a database may have set against us
 * is set back: a stricter isolation would refuse the row after a wait instead of showing its newest state, a statement or transaction timeout would end a
 * waiter or a holder early, and a commit that does not wait for the disk is none.
 */
function opening(client: PoolClient, row: RowName, lockTimeoutMs: number, idleMs: number): string {
  return [
    'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE',
    `SET LOCAL lock_timeout = ${lockTimeoutMs}`,
    'SET LOCAL statement_timeout = 0',
    `SET LOCAL idle_in_transaction_session_timeout = ${idleMs}`,
    `SET LOCAL application_name = ${client.escapeLiteral(holderName(row))}`,
    // PostgreSQL 17 has this one.
    "SELECT set_config('transaction_timeout', '0', true) WHERE current_setting('transaction_timeout', true) IS NOT NULL",
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
  ].join('; ')
}

async function lockTimeout(client: PoolClient, row: RowName, deadlineMs: number): Promise<McpAuthError> {
  const tag = tagOf(row)
  // Those who wait bear the same name, and wait for a lock.
  const { rows } = await client.query<{ application_name: string }>(
    limited(
      "SELECT application_name FROM pg_stat_activity WHERE starts_with(application_name, $1) AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'",
      [tag]
    )
  )
  return rowTimeout(row, deadlineMs, rows[0]?.application_name.slice(tag.length))
}

/** The error of a waiter whose time is over. */
export function rowTimeout(row: RowName, deadlineMs: number, holder: string | undefined): McpAuthError {
  const by = holder === undefined ? '' : `: ${safeText(holder, 63)} holds it`
  return new McpAuthError('MCPAUTH_LOCK_TIMEOUT', `the row of ${describeKey(row.storeKey)} was not free within ${deadlineMs} ms${by}`, {
    hint: 'another process is refreshing; try again, or look for "mcpauth" in pg_stat_activity'
  })
}

import { hostname } from 'node:os'
import { McpAuthError, type TransactOptions } from '@mcpauth/core'
import type { PoolClient } from 'pg'

/** How long a holder may sit in its transaction before the server ends it: above the deadline of a refresh, so that a frozen process blocks nobody for ever. */
const maxIdleMs = 120_000

/** What `pg_stat_activity` shows of a holder. */
export function holderName(name: string): string {
  // PostgreSQL keeps 63 bytes.
  return `mcpauth ${name.slice(0, 12)} ${process.pid}@${hostname()}`.slice(0, 63)
}

/**
 * Opens a transaction that holds a row alone, and makes the row when it is not there yet.
 *
 * @throws `MCPAUTH_LOCK_TIMEOUT`
 */
export async function lockRow(
  client: PoolClient,
  row: { name: string; kind: string; key: string },
  { deadlineMs }: TransactOptions
): Promise<void> {
  await client.query('BEGIN')
  try {
    // Settings of the transaction only: behind PgBouncer the connection is someone else's afterwards.
    await client.query(
      "SELECT set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $2, true), set_config('application_name', $3, true)",
      [String(Math.max(1, Math.ceil(deadlineMs))), String(maxIdleMs), holderName(row.name)]
    )
    await client.query('INSERT INTO mcpauth_records (name, kind, key) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING', [
      row.name,
      row.kind,
      row.key
    ])
    await client.query('SELECT 1 FROM mcpauth_records WHERE name = $1 FOR UPDATE', [row.name])
  } catch (error) {
    if ((error as { code?: unknown }).code !== '55P03' /* lock_not_available */) throw error
    await client.query('ROLLBACK')
    throw await lockTimeout(client, row.name, deadlineMs)
  }
}

async function lockTimeout(client: PoolClient, name: string, deadlineMs: number): Promise<McpAuthError> {
  const { rows } = await client.query<{ application_name: string }>(
    'SELECT application_name FROM pg_stat_activity WHERE application_name LIKE $1 AND pid <> pg_backend_pid()',
    [`mcpauth ${name.slice(0, 12)} %`]
  )
  const holders = rows.map(({ application_name }) => application_name.split(' ').at(-1)).join(', ')
  return new McpAuthError(
    'MCPAUTH_LOCK_TIMEOUT',
    `the record's row is still locked after ${deadlineMs} ms${holders ? ` by ${holders}` : ''}`,
    {
      hint: 'another process is refreshing; try again, or look at pg_stat_activity'
    }
  )
}

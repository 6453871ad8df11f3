import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { McpAuthError, type TransactOptions } from '@mcpauth/core'
import type { Pool } from 'pg'
import { reachable } from './reachable.ts'

const leaseSeconds = 30
const renewMs = 10_000
const pollMs = 250

/**
 * Runs `work` while this holder alone has the lease. A login takes minutes, so it must not pin a connection of the pool: a lease is a row with an end, renewed
 * while `work` runs. It frees itself 30 s after its holder died.
 *
 * @throws `MCPAUTH_LOCK_TIMEOUT` naming the holder.
 */
export async function withLease<T>(
  pool: Pool,
  name: string,
  work: (lost: AbortSignal) => Promise<T>,
  options: TransactOptions
): Promise<T> {
  const token = randomUUID()
  await reachable(() => acquire(pool, name, token, options))
  const lost = new AbortController()
  const renewal = setInterval(() => {
    renew(pool, name, token).then(
      (ours) => ours || lost.abort(new Error('the lease was lost')),
      // The database is away for the moment: the lease ends by itself if it stays away.
      () => undefined
    )
  }, renewMs)
  renewal.unref()
  try {
    return await work(lost.signal)
  } finally {
    clearInterval(renewal)
    // A lease that cannot be given back ends by itself.
    await pool.query('DELETE FROM mcpauth_leases WHERE name = $1 AND token = $2', [name, token]).catch(() => undefined)
  }
}

async function acquire(pool: Pool, name: string, token: string, { deadlineMs, waiter }: TransactOptions): Promise<void> {
  const deadline = performance.now() + deadlineMs
  for (;;) {
    waiter?.throwIfAborted()
    const { rowCount } = await pool.query(
      `INSERT INTO mcpauth_leases AS lease (name, holder, token, expires_at) VALUES ($1, $2, $3, now() + make_interval(secs => $4))
       ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = excluded.token, expires_at = excluded.expires_at WHERE lease.expires_at < now()`,
      [name, `${process.pid}@${hostname()}`, token, leaseSeconds]
    )
    if (rowCount === 1) return
    const left = deadline - performance.now()
    if (left <= 0) throw await leaseTimeout(pool, name, deadlineMs)
    await sleep(Math.min(left, pollMs * (0.5 + Math.random())), undefined, waiter ? { signal: waiter } : {})
  }
}

async function renew(pool: Pool, name: string, token: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    'UPDATE mcpauth_leases SET expires_at = now() + make_interval(secs => $3) WHERE name = $1 AND token = $2',
    [name, token, leaseSeconds]
  )
  return rowCount === 1
}

async function leaseTimeout(pool: Pool, name: string, deadlineMs: number): Promise<McpAuthError> {
  const { rows } = await pool.query<{ holder: string }>('SELECT holder FROM mcpauth_leases WHERE name = $1', [name])
  return new McpAuthError('MCPAUTH_LOCK_TIMEOUT', `the login is still held after ${deadlineMs} ms by ${rows[0]?.holder ?? 'somebody'}`, {
    hint: 'somebody is logging in; finish there, or wait until the lease ends by itself'
  })
}

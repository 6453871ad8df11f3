import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { McpAuthError, safeText, type TransactOptions } from '@mcpauth/core'
import { describeKey } from '@mcpauth/token-store'
import type { Pool } from 'pg'
import { limited, reachable } from './reachable.ts'
import type { RowName } from './record-rows.ts'
import { stopwatch } from './stopwatch.ts'

const leaseSeconds = 30
const pollMs = 250

/**
 * Runs `work` while this holder alone has the lease. A login takes minutes, so it must not pin a connection of the pool: a lease is a row with an end, renewed
 * while `work` runs. It frees itself 30 s after its holder died.
 *
 * @throws `MCPAUTH_LOCK_TIMEOUT` naming the holder.
 */
export async function withLease<T>(
  pool: Pool,
  row: RowName,
  work: (lost: () => AbortSignal) => Promise<T>,
  options: TransactOptions,
  seconds: number = leaseSeconds
): Promise<T> {
  const token = randomUUID()
  let ageMs = await acquire(pool, row, token, options, seconds)
  const lost = new AbortController()
  /** A lease that was not renewed in time, because the database was away, this process was stopped or its machine slept, may be somebody else's by now. */
  function look(): AbortSignal {
    if (ageMs() >= seconds * 1000) lost.abort(leaseLost(row))
    return lost.signal
  }
  const renewal = setInterval(
    () => {
      const sinceAsked = stopwatch()
      renew(pool, row.name, token, seconds).then(
        (ours) => {
          if (ours) ageMs = sinceAsked
          else lost.abort(leaseLost(row))
        },
        () => void look()
      )
    },
    (seconds * 1000) / 3
  )
  renewal.unref()
  try {
    return await work(look)
  } finally {
    clearInterval(renewal)
    await giveBack(pool, row.name, token)
  }
}

/** @returns how long ago it was asked for: the lease's time began after that. */
async function acquire(
  pool: Pool,
  row: RowName,
  token: string,
  { deadlineMs, waiter }: TransactOptions,
  seconds: number
): Promise<() => number> {
  const deadline = performance.now() + deadlineMs
  for (;;) {
    waiter?.throwIfAborted()
    const sinceAsked = stopwatch()
    const { rowCount } = await reachable(() =>
      pool.query(
        limited(
          `INSERT INTO mcpauth_leases AS lease (name, holder, token, expires_at) VALUES ($1, $2, $3, now() + make_interval(secs => $4))
           ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = excluded.token, expires_at = excluded.expires_at
           WHERE lease.expires_at < now()`,
          [row.name, `${process.pid}@${hostname()}`, token, seconds]
        )
      )
    )
    if (rowCount === 1 && !waiter?.aborted) return sinceAsked
    if (rowCount === 1) await giveBack(pool, row.name, token)
    const left = deadline - performance.now()
    if (left <= 0) throw await leaseTimeout(pool, row, deadlineMs)
    await pause(Math.min(left, pollMs * (0.5 + Math.random())), waiter)
  }
}

async function pause(ms: number, waiter: AbortSignal | undefined): Promise<void> {
  // The caller's own reason, and not the timer's word for it.
  await sleep(ms, undefined, waiter ? { signal: waiter } : {}).catch(() => waiter?.throwIfAborted())
}

async function renew(pool: Pool, name: string, token: string, seconds: number): Promise<boolean> {
  const { rowCount } = await pool.query(
    limited('UPDATE mcpauth_leases SET expires_at = now() + make_interval(secs => $3) WHERE name = $1 AND token = $2', [
      name,
      token,
      seconds
    ])
  )
  return rowCount === 1
}

/** A lease that cannot be given back ends by itself. */
async function giveBack(pool: Pool, name: string, token: string): Promise<void> {
  await pool.query(limited('DELETE FROM mcpauth_leases WHERE name = $1 AND token = $2', [name, token])).catch(() => undefined)
}

async function leaseTimeout(pool: Pool, row: RowName, deadlineMs: number): Promise<unknown> {
  const { rows } = await reachable(() =>
    pool.query<{ holder: string }>(limited('SELECT holder FROM mcpauth_leases WHERE name = $1', [row.name]))
  )
  const by = rows[0] ? safeText(rows[0].holder, 100) : 'somebody'
  return new McpAuthError('MCPAUTH_LOCK_TIMEOUT', `${describeKey(row.storeKey)} is still held after ${deadlineMs} ms by ${by}`, {
    hint: 'somebody is logging in; finish there, or wait until the lease ends by itself'
  })
}

function leaseLost(row: RowName): McpAuthError {
  return new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', `the lease of ${describeKey(row.storeKey)} could not be renewed in time`, {
    hint: 'check that the database is up, then log in again'
  })
}

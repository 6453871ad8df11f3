import { setTimeout as sleep } from 'node:timers/promises'
import { McpAuthError, type TransactOptions } from '@mcpauth/core'
import type { Pool, PoolClient } from 'pg'
import type { SealedRecord } from './encryption.ts'
import { isPassing, limited, unavailable } from './reachable.ts'
import { type NewRow, type RowName, writeRow } from './record-rows.ts'
import { lockRow, maxIdleMs, rowTimeout } from './row-lock.ts'
import { stopwatch } from './stopwatch.ts'

/** How long a database that restarts or fails over is waited for. */
const patienceMs = 30_000

/**
 * How long a waiter stands in the database's own queue before it gives its connection back for a while. Behind a pooler, those who wait for one frozen holder
 * would else have all connections, and nobody could refresh anything else.
 */
const queueMs = 2_000

/** A row's lock, and the connection that is pinned by it. */
export interface HeldConnection {
  /** What stood in the row when its lock was taken; while it is held nobody changes it. */
  readonly found: SealedRecord | undefined
  /** False: the connection broke, or sat idle for so long that the server has ended it, and somebody else may hold the lock now. */
  readonly intact: boolean
  /** Writes, commits, and gives the connection back: durable, and unlocked, when it resolves. */
  commit(next: NewRow): Promise<void>
  /** Ends the lock without a change. */
  release(): Promise<void>
}

/**
 * Takes a row's lock. A database that is away for a moment is tried again.
 *
 * @param onLost Called once when the connection breaks while it holds the lock.
 * @throws `MCPAUTH_LOCK_TIMEOUT`, `MCPAUTH_STORE_UNAVAILABLE`, the reason of `waiter`
 */
export async function holdRow(pool: Pool, row: RowName, options: TransactOptions, onLost: () => void): Promise<HeldConnection> {
  const { deadlineMs, waiter } = options
  const started = performance.now()
  const left = (): number => deadlineMs - (performance.now() - started)
  for (let pauseMs = 50; ; pauseMs = Math.min(pauseMs * 2, 500)) {
    waiter?.throwIfAborted()
    const attempt = takeOnce(pool, row, options, Math.max(1, left()), onLost)
    try {
      return await unlessAborted(attempt, waiter, (late) => late.release())
    } catch (error) {
      waiter?.throwIfAborted()
      const isQueued = McpAuthError.is(error) && error.code === 'MCPAUTH_LOCK_TIMEOUT'
      const isAway = isPassing(error) && performance.now() - started + pauseMs <= patienceMs
      if (!(isQueued || isAway) || left() <= pauseMs) throw unavailable(error)
      // All who left at the same moment must not come back at the same moment.
      await sleep(pauseMs * (0.5 + Math.random()))
    }
  }
}

async function takeOnce(
  pool: Pool,
  row: RowName,
  { deadlineMs }: TransactOptions,
  leftMs: number,
  onLost: () => void
): Promise<HeldConnection> {
  const started = performance.now()
  const client = await connect(pool, row, deadlineMs, leftMs)
  let broken: Error | undefined
  let released = false
  function onError(error: Error): void {
    broken ??= error
    if (!released) onLost()
  }
  client.on('error', onError)

  function giveBack(): void {
    if (released) return
    released = true
    client.off('error', onError)
    // A connection in an unknown state, or in a transaction that failed, is not given back to others.
    client.release(broken)
  }
  async function run<T>(queries: () => Promise<T>): Promise<T> {
    try {
      return await queries()
    } catch (error) {
      // Errors of our own come after a ROLLBACK.
      if (!McpAuthError.is(error)) broken ??= error as Error
      giveBack()
      throw error
    }
  }

  const waitMs = Math.max(1, Math.min(queueMs, leftMs - (performance.now() - started)))
  const found = await run(() => lockRow(client, row, { waitMs, deadlineMs }))
  const idleMs = stopwatch()
  return {
    found,
    get intact() {
      return !broken && !released && idleMs() < maxIdleMs
    },
    async commit(next) {
      await run(async () => {
        await writeRow(client, row, next)
        const { command } = await client.query(limited('COMMIT'))
        // A transaction that has failed answers a COMMIT with ROLLBACK, and without an error.
        if (command !== 'COMMIT') throw Object.assign(new Error('rolled back'), { code: '40000' })
      })
      giveBack()
    },
    async release() {
      if (!released && !broken) await run(() => client.query(limited('ROLLBACK'))).catch(() => undefined)
      giveBack()
    }
  }
}

/** A connection of the pool. The pool itself may wait for ever for one. */
async function connect(pool: Pool, row: RowName, deadlineMs: number, leftMs: number): Promise<PoolClient> {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(poolTimeout(row, deadlineMs)), leftMs)
  try {
    return await unlessAborted(pool.connect(), late.signal, (client) => client.release())
  } finally {
    clearTimeout(timer)
  }
}

/** Leaves when `signal` says so; what comes too late is put away. */
async function unlessAborted<T>(coming: Promise<T>, signal: AbortSignal | undefined, putAway: (late: T) => unknown): Promise<T> {
  if (!signal) return await coming
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const leave = (): void => reject(signal.reason)
  signal.addEventListener('abort', leave, { once: true })
  let left = true
  try {
    const result = await Promise.race([coming, aborted])
    left = false
    return result
  } finally {
    signal.removeEventListener('abort', leave)
    if (left) coming.then(putAway).catch(() => undefined)
  }
}

function poolTimeout(row: RowName, deadlineMs: number): McpAuthError {
  const { message } = rowTimeout(row, deadlineMs, undefined)
  return new McpAuthError('MCPAUTH_LOCK_TIMEOUT', `${message}: no connection of the pool became free`, {
    hint: 'make the pool larger (max), or look for connections that are never released'
  })
}

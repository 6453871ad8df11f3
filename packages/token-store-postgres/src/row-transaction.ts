import { type HeldRecord, McpAuthError, type TokenRecord, type TransactOptions } from '@mcpauth/core'
import { describeKey, signalShield, tombstoneOf } from '@mcpauth/token-store'
import type { Pool } from 'pg'
import type { RecordCipher, SealedRecord } from './encryption.ts'
import { type HeldConnection, holdRow } from './held-connection.ts'
import { isPassing, unavailable } from './reachable.ts'
import { isSame, type NewRow, openRecord, type RowName, sealRecord } from './record-rows.ts'

/** How long one write of a holder that lost its connection tries to get through. */
const mendMs = 10_000

/**
 * Lock, re-read, write in one transaction. A write commits at once, so that the caller knows it is durable before it uses the token; whatever `work` does
 * afterwards takes the lock anew.
 *
 * A holder that lost its connection, by a failover for instance, may hold the only copy of a refresh token by then. So it takes the lock again and writes if the
 * row still is what it had read.
 *
 * SIGINT, SIGTERM and SIGHUP wait for all of it, at most five seconds: a rolling update must not cost a login.
 */
export async function transactUnderRowLock<T>(
  pool: Pool,
  cipher: RecordCipher,
  row: RowName,
  work: (record: HeldRecord) => Promise<T>,
  options: TransactOptions
): Promise<T> {
  const lost = new AbortController()
  const onLost = (): void => lost.abort(lockLost(row))
  let held: HeldConnection | undefined = await holdRow(pool, row, options, onLost)
  let seen = held.found
  let looked = false
  const mine: SealedRecord[] = []
  let over = false
  let last: Promise<unknown> = Promise.resolve()

  async function locked(): Promise<HeldConnection> {
    if (held?.intact) return held
    if (held) onLost()
    await held?.release()
    held = undefined
    held = await holdRow(pool, row, { deadlineMs: mendMs }, onLost)
    return held
  }

  async function read(): Promise<TokenRecord | undefined> {
    seen = (await locked()).found
    looked = true
    return openRecord(cipher, row, seen)
  }

  async function write(next: NewRow): Promise<void> {
    // Nobody writes unread: a record of a newer version is not overwritten.
    if (!looked) openRecord(cipher, row, seen)
    mine.push(next.sealed)
    const until = performance.now() + mendMs
    for (;;) {
      const lock = await locked()
      // What was committed while only its answer was lost is ours, too.
      const isOurs = isSame(lock.found, seen) || mine.some((sealed) => isSame(lock.found, sealed))
      if (!isOurs) throw movedOn(row)
      try {
        await lock.commit(next)
        return await settle(next)
      } catch (error) {
        if (!isPassing(error) || performance.now() > until) throw unavailable(error)
      }
    }
  }

  async function settle({ sealed }: NewRow): Promise<void> {
    seen = sealed
    await held?.release()
    held = undefined
  }

  /** One step after the other, and none any more when the lock has been given back: the connection may be someone else's. */
  function step<R>(run: () => Promise<R>): Promise<R> {
    const mineNow = last.then(() => {
      if (over) throw writtenTooLate(row)
      return run()
    })
    last = mineNow.catch(() => undefined)
    return mineNow
  }

  const record: HeldRecord = {
    get lost() {
      if (held && !held.intact) onLost()
      return lost.signal
    },
    read: () => step(read),
    write: (next) => step(async () => await write(sealRecord(cipher, row, next))),
    clear: () =>
      step(async () => {
        const before = await read()
        if (before) await write(sealRecord(cipher, row, tombstoneOf(before)))
      })
  }
  const lower = signalShield().raise()
  try {
    return await work(record)
  } finally {
    await last
    over = true
    try {
      await held?.release()
    } finally {
      lower()
    }
  }
}

function lockLost(row: RowName): McpAuthError {
  return new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', `the connection that held the lock of ${describeKey(row.storeKey)} was lost`, {
    hint: 'try again; nothing was deleted'
  })
}

function movedOn(row: RowName): McpAuthError {
  return new McpAuthError(
    'MCPAUTH_STORE_UNAVAILABLE',
    `the lock of ${describeKey(row.storeKey)} was lost, and somebody else has written since`,
    {
      hint: 'try again: the record is read anew'
    }
  )
}

function writtenTooLate(row: RowName): McpAuthError {
  return new McpAuthError(
    'MCPAUTH_CLOSED',
    `the lock of ${describeKey(row.storeKey)} has been released: nothing can be read or written any more`,
    {
      hint: 'await everything inside the work that transact runs'
    }
  )
}

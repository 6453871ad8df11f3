import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { McpAuthError, type StoreKey } from '@mcpauth/core'
import { type PostgresStore, type PostgresStoreOptions, postgresStore } from '@mcpauth/token-store-postgres'
import type { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { withLease } from '../../packages/token-store-postgres/src/lease.ts'
import { rowOf } from '../../packages/token-store-postgres/src/record-rows.ts'
import { lockRow } from '../../packages/token-store-postgres/src/row-lock.ts'
import { type Database, startDatabase } from './database.ts'
import { tapRoad } from './tapped-road.ts'

let database: Database
let pool: Pool

beforeAll(async () => {
  database = await startDatabase()
  pool = database.pool({ max: 20 })
  await plain().ensureSchema()
}, 60_000)
afterAll(() => database?.[Symbol.asyncDispose]())

let count = 0
function freshKey(): StoreKey & { kind: 'server' } {
  count += 1
  return { kind: 'server', url: `https://mcp-${count}.example.com/mcp` }
}
const deadline = { deadlineMs: 20_000 }
const plain = (options: Partial<PostgresStoreOptions> = {}): PostgresStore =>
  postgresStore({ pool, dangerouslyStorePlaintext: true, ...options })

/** Takes a lock and keeps it until told. */
async function holdLock(store: PostgresStore, key: StoreKey): Promise<() => Promise<void>> {
  const entered = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const holding = store.transact(
    key,
    async () => {
      entered.resolve()
      await gate.promise
    },
    deadline
  )
  await Promise.race([entered.promise, holding])
  return async () => {
    gate.resolve()
    await holding
  }
}

/** Ends the connections that hold or want a row, as an administrator or a failover would. */
const cutHolders = async (): Promise<void> => {
  await pool.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'mcpauth %'")
}
const waiting = async (): Promise<number> => {
  const { rows } = await pool.query("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'mcpauth %' AND wait_event_type = 'Lock'")
  return rows.length
}

/** Only the wall clock knows about it. */
function sleepMs(ms: number): void {
  const wakes = Date.now() + ms
  vi.useFakeTimers({ toFake: ['Date'], now: wakes })
  onTestFinished(() => void vi.useRealTimers())
}

describe('a lock that cannot be had', () => {
  test('a transaction that failed is not given back to the pool: the same connection works afterwards', async () => {
    await using empty = await startDatabase()
    const store = plain({ pool: empty.pool({ max: 1 }) })
    const key = freshKey()
    const failing = store.transact(key, async () => 'never', deadline)
    await expect(failing).rejects.toMatchObject({ code: 'MCPAUTH_STORE_UNAVAILABLE', hint: expect.stringContaining('ensureSchema') })
    await store.ensureSchema()
    await expect(store.transact(key, async () => 'now', deadline)).resolves.toBe('now')
  })

  test('twenty processes that start at once make the tables once', async () => {
    await using empty = await startDatabase()
    const starting = empty.pool({ max: 20 })
    await expect(Promise.all(Array.from({ length: 20 }, () => plain({ pool: starting }).ensureSchema()))).resolves.toHaveLength(20)
  })

  test('a waiter that leaves gets its own reason at once, and gives its connection back later', async () => {
    const key = freshKey()
    const release = await holdLock(plain(), key)
    const leaving = new AbortController()
    const waiter = plain().transact(key, async () => 'never', { ...deadline, waiter: leaving.signal })
    await expect.poll(waiting, { timeout: 20_000 }).toBe(1)
    const reason = new Error('the caller lost its connection: a timeout of its own')
    leaving.abort(reason)
    await expect(waiter).rejects.toBe(reason)
    await release()
    await expect.poll(() => pool.idleCount === pool.totalCount, { timeout: 20_000 }).toBe(true)
  })

  test('the same for a login', async () => {
    const key: StoreKey = { ...freshKey(), kind: 'login' }
    const release = await holdLock(plain(), key)
    const reason = new Error('gone')
    const waiter = plain().transact(key, async () => 'never', { ...deadline, waiter: AbortSignal.abort(reason) })
    await expect(waiter).rejects.toBe(reason)
    const leaving = new AbortController()
    const other = plain().transact(key, async () => 'never', { ...deadline, waiter: leaving.signal })
    leaving.abort(reason)
    await expect(other).rejects.toBe(reason)
    await release()
  })

  test('a timeout names the holder and not those who wait with us', async () => {
    const key = freshKey()
    const release = await holdLock(plain(), key)
    const others = [plain().transact(key, async () => 1, deadline), plain().transact(key, async () => 2, deadline)]
    await expect.poll(waiting, { timeout: 20_000 }).toBe(2)
    const error = await plain()
      .transact(key, async () => 'never', { deadlineMs: 100 })
      .catch((reason: unknown) => reason)
    expect(McpAuthError.is(error) && error.message).toMatch(new RegExp(`: ${process.pid}@[^ ,]+ holds it$`))
    await release()
    await Promise.all(others)
  })

  test('a pool whose connections are all taken ends with the deadline, too', async () => {
    const small = database.pool({ max: 1 })
    const client = await small.connect()
    const waiter = plain({ pool: small }).transact(freshKey(), async () => 'never', { deadlineMs: 50 })
    await expect(waiter).rejects.toMatchObject({ code: 'MCPAUTH_LOCK_TIMEOUT', message: expect.stringContaining('pool') })
    client.release()
    await expect(plain({ pool: small }).transact(freshKey(), async () => 'then', deadline)).resolves.toBe('then')
  })

  test('and so does a read, after half a minute', async () => {
    const small = database.pool({ max: 1 })
    const store = plain({ pool: small })
    const client = await small.connect()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const exhausted = { code: 'MCPAUTH_STORE_UNAVAILABLE', message: expect.stringContaining('pool') }
    const reading = [store.read(freshKey()), store.list()].map((read) => expect(read).rejects.toMatchObject(exhausted))
    await vi.advanceTimersByTimeAsync(30_000)
    await Promise.all(reading)
    vi.useRealTimers()
    client.release()
    await expect(store.read(freshKey())).resolves.toBeUndefined()
  })

  test('those who wait in one process for one key leave the pool to other keys', async () => {
    const store = plain({ pool: database.pool({ max: 2 }) })
    const key = freshKey()
    const release = await holdLock(store, key)
    const others = Array.from({ length: 5 }, (_, index) => store.transact(key, async () => index, deadline))
    await expect(store.transact(freshKey(), async () => 'free', deadline)).resolves.toBe('free')
    await release()
    await expect(Promise.all(others)).resolves.toEqual([0, 1, 2, 3, 4])
  })

  test('what a role has set against us is set back: isolation, timeouts, commits that do not wait for the disk', async () => {
    const hostile = database.pool({
      options:
        '-c default_transaction_isolation=serializable -c statement_timeout=150 -c transaction_timeout=150 -c idle_in_transaction_session_timeout=150 -c synchronous_commit=off -c default_transaction_read_only=on'
    })
    const key = freshKey()
    const [holder, other] = [plain({ pool: hostile }), plain({ pool: hostile })]
    await holder.transact(key, (held) => held.write({ access_token: 'first', generation: 1 }), deadline)
    const release = await holdLock(holder, key)
    const waiter = other.transact(
      key,
      async (held) => await held.write({ ...(await held.read()), access_token: 'second', generation: 2 }),
      deadline
    )
    await expect.poll(waiting, { timeout: 20_000 }).toBe(1)
    await pool.query('SELECT pg_sleep(0.4)')
    await release()
    await waiter
    expect(await plain().read(key)).toMatchObject({ access_token: 'second' })
    const client = await hostile.connect()
    await lockRow(client, rowOf(key), { waitMs: 1_000 })
    await expect(client.query('SHOW synchronous_commit')).resolves.toMatchObject({ rows: [{ synchronous_commit: 'on' }] })
    await client.query('ROLLBACK')
    await expect(client.query('SHOW synchronous_commit')).resolves.toMatchObject({ rows: [{ synchronous_commit: 'off' }] })
    client.release()
  })
})

describe('a connection that is lost', () => {
  test('T8 before the request: lost is aborted with a typed error, so that nothing is sent', async () => {
    const key = freshKey()
    await plain().transact(
      key,
      async (held) => {
        await held.read()
        const lost = once(held.lost, 'abort')
        await cutHolders()
        await lost
        expect(() => held.lost.throwIfAborted()).toThrow(expect.objectContaining({ code: 'MCPAUTH_STORE_UNAVAILABLE' }))
      },
      deadline
    )
  })

  test('T8 after the answer: the holder takes the lock again and writes what only it has', async () => {
    const key = freshKey()
    const store = plain()
    await store.transact(key, (held) => held.write({ access_token: 'before', generation: 1 }), deadline)
    await store.transact(
      key,
      async (held) => {
        await held.read()
        const lost = once(held.lost, 'abort')
        await cutHolders()
        await lost
        await held.write({ access_token: 'after', generation: 2 })
      },
      deadline
    )
    expect(await store.read(key)).toMatchObject({ access_token: 'after', generation: 2 })
  })

  test('T18 and does not write when somebody else has written meanwhile; a read shows what that is', async () => {
    const key = freshKey()
    const store = plain()
    await store.transact(key, (held) => held.write({ access_token: 'before', generation: 1 }), deadline)
    await store.transact(
      key,
      async (held) => {
        await held.read()
        const lost = once(held.lost, 'abort')
        await cutHolders()
        await lost
        await plain().transact(key, (other) => other.write({ access_token: 'theirs', generation: 2 }), deadline)
        await expect(held.write({ access_token: 'ours', generation: 2 })).rejects.toMatchObject({ code: 'MCPAUTH_STORE_UNAVAILABLE' })
        expect(await held.read()).toMatchObject({ access_token: 'theirs' })
      },
      deadline
    )
    expect(await store.read(key)).toMatchObject({ access_token: 'theirs' })
  })

  test('T8 a COMMIT whose answer is lost is found again: written once, and no error', async () => {
    await using road = await tapRoad(Number(database.config.port))
    const store = plain({ pool: database.pool({ port: road.port }) })
    const key = freshKey()
    await store.transact(
      key,
      async (held) => {
        await held.read()
        road.cutAfter('COMMIT')
        await held.write({ access_token: 'once', generation: 1 })
        await held.write({ access_token: 'and again', generation: 2 })
      },
      deadline
    )
    expect(await plain().read(key)).toMatchObject({ access_token: 'and again', generation: 2 })
  })

  test('a server that vanishes without a word is waited for until the deadline, not until TCP gives up', async () => {
    await using road = await tapRoad(Number(database.config.port))
    const far = database.pool({ port: road.port, max: 1 })
    const store = plain({ pool: far })
    const key = freshKey()
    await store.transact(key, async () => 'through', deadline)
    road.swallow()
    await expect(store.transact(key, async () => 'never', { deadlineMs: 200 })).rejects.toMatchObject({ code: 'MCPAUTH_STORE_UNAVAILABLE' })
    // The next one is a connection that never comes up.
    await expect(store.transact(key, async () => 'never', { deadlineMs: 200 })).rejects.toMatchObject({ code: 'MCPAUTH_LOCK_TIMEOUT' })
  })

  test('T8 a frozen holder is ended by the server, and the next one gets the row', async () => {
    const row = rowOf(freshKey())
    const [frozen, next] = [await pool.connect(), await pool.connect()]
    const ended = once(frozen, 'error')
    frozen.on('error', () => undefined)
    await lockRow(frozen, row, { waitMs: 5_000, idleMs: 100 })
    await expect(lockRow(next, row, { waitMs: 5_000 })).resolves.toBeUndefined()
    await expect(next.query('SHOW idle_in_transaction_session_timeout')).resolves.toMatchObject({
      rows: [{ idle_in_transaction_session_timeout: '3min' }]
    })
    await expect(ended).resolves.toMatchObject([{ code: '25P03' }])
    await next.query('ROLLBACK')
    next.release()
    frozen.release(true)
  })

  test('T17: a machine that slept for longer than the server waits sends nothing when it wakes up, and what it has already is written', async () => {
    const key = freshKey()
    const store = plain()
    await store.transact(
      key,
      async (held) => {
        await held.read()
        // The monotonic clock stands still meanwhile, and the word of a cut connection is lost.
        sleepMs(179_000)
        expect(held.lost.aborted).toBe(false)
        sleepMs(1_001)
        expect(() => held.lost.throwIfAborted()).toThrow(expect.objectContaining({ code: 'MCPAUTH_STORE_UNAVAILABLE' }))
        await held.write({ access_token: 'after', generation: 1 })
      },
      deadline
    )
    expect(await store.read(key)).toMatchObject({ access_token: 'after' })
  })

  test('T17: a lease that was slept through is lost', async () => {
    const row = rowOf({ ...freshKey(), kind: 'login' })
    await withLease(
      pool,
      row,
      async (look) => {
        expect(look().aborted).toBe(false)
        sleepMs(30_000)
        expect(look().reason).toMatchObject({ code: 'MCPAUTH_STORE_UNAVAILABLE' })
      },
      deadline
    )
  })

  test('a restart of the server: whoever waits goes on afterwards, reads too, and an idle connection ends no process', async () => {
    await using own = await startDatabase()
    const ownPool = own.pool()
    ownPool.removeAllListeners('error')
    const [holder, other] = [plain({ pool: ownPool }), plain({ pool: ownPool })]
    await holder.ensureSchema()
    const key = freshKey()
    const release = await holdLock(holder, key)
    const waiter = other.transact(key, async () => 'after the restart', deadline)
    await Promise.all([holder.read(key), other.read(key)])
    await own.restart()
    await expect(waiter).resolves.toBe('after the restart')
    await expect(holder.read(key)).resolves.toBeUndefined()
    await release()
  })

  test('a lease that cannot be renewed is lost when its time is over', async () => {
    const cut = {
      query: (query: { text: string }) => (query.text.startsWith('UPDATE') ? Promise.reject(new Error('away')) : pool.query(query))
    }
    const row = rowOf({ ...freshKey(), kind: 'login' })
    const reason = await withLease(
      cut as unknown as Pool,
      row,
      async (look) => {
        expect(look().aborted).toBe(false)
        await once(look(), 'abort')
        return look().reason
      },
      deadline,
      0.3
    )
    expect(reason).toMatchObject({ code: 'MCPAUTH_STORE_UNAVAILABLE' })
  })
})

test('nothing is written when the lock has been given back', async () => {
  const key = freshKey()
  const store = plain()
  let kept: Parameters<Parameters<PostgresStore['transact']>[1]>[0] | undefined
  await store.transact(
    key,
    async (held) => {
      kept = held
    },
    deadline
  )
  await expect(kept?.write({ access_token: 'late', generation: 1 })).rejects.toMatchObject({ code: 'MCPAUTH_CLOSED' })
  expect(await store.read(key)).toBeUndefined()
})

test('what the work left running may ask for the lock again', async () => {
  const key = freshKey()
  const store = plain()
  const begin = Promise.withResolvers<void>()
  let left: Promise<string> | undefined
  await store.transact(
    key,
    async () => {
      left = begin.promise.then(() => store.transact(key, async () => 'again', deadline))
    },
    deadline
  )
  begin.resolve()
  await expect(left).resolves.toBe('again')
})

test('N33 with a key, a record in clear text is refused, unless it is being taken over', async () => {
  const key = freshKey()
  await plain().transact(key, (held) => held.write({ access_token: 'planted', generation: 1 }), deadline)
  const encryptionKey = randomBytes(32)
  const strict = postgresStore({ pool, encryptionKey: () => encryptionKey })
  await expect(strict.read(key)).rejects.toMatchObject({ code: 'MCPAUTH_STORE_UNAVAILABLE', hint: expect.stringContaining('take over') })
  const takingOver = postgresStore({ pool, encryptionKey: () => encryptionKey, dangerouslyStorePlaintext: true })
  await takingOver.transact(key, async (held) => await held.write({ ...(await held.read()), generation: 2 }), deadline)
  expect(await strict.read(key)).toMatchObject({ access_token: 'planted', generation: 2 })
})

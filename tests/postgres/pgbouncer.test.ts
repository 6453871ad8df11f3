import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { StoreKey } from '@mcpauth/core'
import { type PostgresStore, postgresStore } from '@mcpauth/token-store-postgres'
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Database, startDatabase } from './database.ts'
import { type Pooler, pgbouncer, startPooler } from './pooler.ts'

describe.skipIf(pgbouncer === undefined)('behind PgBouncer in transaction mode (needs pgbouncer)', () => {
  const poolSize = 3
  const encryptionKey = randomBytes(32).toString('base64')
  const deadline = { deadlineMs: 30_000 }
  let database: Database
  let pooler: Pooler
  let direct: Pool
  let pool: Pool
  let store: PostgresStore

  beforeAll(async () => {
    database = await startDatabase()
    pooler = await startPooler(database.config, { poolSize })
    direct = database.pool()
    pool = new Pool({ ...pooler.config, max: 20 })
    store = postgresStore({ pool, encryptionKey: () => encryptionKey })
    await store.ensureSchema()
  }, 60_000)
  afterAll(async () => {
    await pool?.end()
    await pooler?.[Symbol.asyncDispose]()
    await database?.[Symbol.asyncDispose]()
  })

  let count = 0
  function freshKey(): StoreKey & { kind: 'server' } {
    count += 1
    return { kind: 'server', url: `https://mcp-${count}.example.com/mcp` }
  }

  test('T8 eight processes on three server connections find one expired token: one of them asks, all go on with the new one', async () => {
    const key = freshKey()
    await store.transact(key, (held) => held.write({ access_token: 'generation-1', generation: 1 }), deadline)
    const workers = Array.from({ length: 8 }, () => fork(new URL('./refreshing-worker.ts', import.meta.url)))
    try {
      await Promise.all(workers.map((worker) => once(worker, 'message')))
      const answers = workers.map((worker) => once(worker, 'message'))
      for (const worker of workers) worker.send({ config: pooler.config, key, encryptionKey })
      const results = (await Promise.all(answers)).map(([message]) => message as { generation: number; asked: boolean })
      expect(results.map(({ generation }) => generation)).toEqual(Array(8).fill(2))
      expect(results.filter(({ asked }) => asked)).toHaveLength(1)
    } finally {
      for (const worker of workers) worker.kill()
    }
  }, 60_000)

  test('T8 a holder that is killed frees the row through the pooler, too', async () => {
    const key = freshKey()
    const worker = fork(new URL('./refreshing-worker.ts', import.meta.url))
    await once(worker, 'message')
    worker.send({ config: pooler.config, key, encryptionKey, hold: true })
    await once(worker, 'message')
    worker.kill('SIGKILL')
    await expect(store.transact(key, async () => 'free again', deadline)).resolves.toBe('free again')
  }, 60_000)

  test('nothing is left on a server connection for its next user: no setting, no lock, no prepared statement', async () => {
    const names = ['lock_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout', 'synchronous_commit']
    const fresh = await direct.query('SELECT name, setting FROM pg_settings WHERE name = ANY($1) ORDER BY name', [names])
    for (let round = 0; round < poolSize * 3; round += 1) {
      await store.transact(freshKey(), (held) => held.write({ access_token: `token-${round}`, generation: 1 }), deadline)
    }
    await Promise.all(
      Array.from({ length: poolSize }, async () => {
        const { rows } = await pool.query('SELECT name, setting FROM pg_settings WHERE name = ANY($1) ORDER BY name', [names])
        expect(rows).toEqual(fresh.rows)
      })
    )
    await expect(pool.query('SELECT * FROM pg_prepared_statements')).resolves.toMatchObject({ rows: [] })
    const { rows } = await direct.query(
      "SELECT 1 FROM pg_locks JOIN pg_class ON pg_class.oid = relation WHERE relname LIKE 'mcpauth%' UNION ALL SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
    )
    expect(rows).toEqual([])
  })

  test('those who wait for a frozen holder leave server connections to other keys', async () => {
    const key = freshKey()
    const worker = fork(new URL('./refreshing-worker.ts', import.meta.url))
    await once(worker, 'message')
    worker.send({ config: pooler.config, key, encryptionKey, hold: true })
    await once(worker, 'message')
    worker.kill('SIGSTOP')
    const waiters = Array.from({ length: poolSize * 2 }, () =>
      postgresStore({ pool, encryptionKey: () => encryptionKey }).transact(key, async () => 'after it', deadline)
    )
    await expect
      .poll(async () => (await direct.query("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")).rows.length)
      .toBe(poolSize - 1)
    await expect(store.transact(freshKey(), async () => 'meanwhile', deadline)).resolves.toBe('meanwhile')
    worker.kill('SIGKILL')
    await expect(Promise.all(waiters)).resolves.toEqual(waiters.map(() => 'after it'))
  }, 60_000)

  test('a login holds none of its connections while a person takes minutes', async () => {
    const logins = Array.from({ length: poolSize * 2 }, () => freshKey())
    const gate = Promise.withResolvers<void>()
    let inside = 0
    const holding = logins.map(({ url }) =>
      store.transact(
        { kind: 'login', url },
        async () => {
          inside += 1
          await gate.promise
        },
        deadline
      )
    )
    await expect.poll(() => inside, { timeout: 20_000 }).toBe(logins.length)
    await expect(store.transact(freshKey(), async () => 'free', deadline)).resolves.toBe('free')
    gate.resolve()
    await Promise.all(holding)
  })

  test('a server connection that is cut behind the pooler aborts lost, and the holder writes what only it has', async () => {
    const key = freshKey()
    await store.transact(
      key,
      async (held) => {
        await held.read()
        const lost = once(held.lost, 'abort')
        await direct.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'mcpauth %'")
        await lost
        await held.write({ access_token: 'through another one', generation: 1 })
      },
      deadline
    )
    expect(await store.read(key)).toMatchObject({ access_token: 'through another one' })
  })
})

import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { McpAuthError, type StoreKey } from '@mcpauth/core'
import { type PostgresStoreOptions, postgresStore } from '@mcpauth/token-store-postgres'
import type { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Database, startDatabase } from './database.ts'

let database: Database
let pool: Pool

beforeAll(async () => {
  database = await startDatabase()
  pool = database.pool({ max: 40 })
  await postgresStore({ pool, dangerouslyStorePlaintext: true }).ensureSchema()
})
afterAll(() => database?.[Symbol.asyncDispose]())

let count = 0
function freshKey(): StoreKey {
  count += 1
  return { kind: 'server', url: `https://mcp-${count}.example.com/mcp` }
}
const deadline = { deadlineMs: 20_000 }
const key1 = randomBytes(32).toString('base64')
const key2 = randomBytes(32).toString('hex')
const env = { KEY_1: key1, KEY_2: key2 }
const encrypted = (options: Partial<PostgresStoreOptions> = {}): ReturnType<typeof postgresStore> =>
  postgresStore({ pool, encryptionKey: { env: 'KEY_1' }, env, ...options })

describe('postgresStore', () => {
  test('what is written is read, listed, and cleared to a tombstone that keeps the generation', async () => {
    const store = encrypted()
    const key = freshKey()
    expect(await store.read(key)).toBeUndefined()
    await store.transact(
      key,
      (held) => held.write({ access_token: 'an-access-token', refresh_token: 'a-refresh-token', generation: 4, other: { x: 1 } }),
      deadline
    )
    expect(await store.read(key)).toMatchObject({ access_token: 'an-access-token', generation: 4, other: { x: 1 }, version: 1 })
    expect(await store.list()).toContainEqual(key)
    await store.transact(key, (held) => held.clear(), deadline)
    const tombstone = await store.read(key)
    expect(tombstone).toMatchObject({ generation: 4 })
    expect(tombstone).not.toHaveProperty('refresh_token')
    expect(await store.list()).not.toContainEqual(key)
  })

  test('N33 nothing readable stands in the table, and a row cannot be put in the place of another', async () => {
    const store = encrypted()
    const [mine, other] = [freshKey(), freshKey()]
    await store.transact(mine, (held) => held.write({ access_token: 'the-secret-of-mine', generation: 1 }), deadline)
    await store.transact(other, (held) => held.write({ access_token: 'the-secret-of-other', generation: 1 }), deadline)
    const { rows } = await pool.query('SELECT * FROM mcpauth_records')
    expect(rows.map((row) => `${JSON.stringify(row)}${row.record?.toString('latin1')}`).join()).not.toContain('the-secret-of')
    await pool.query('UPDATE mcpauth_records SET record = (SELECT record FROM mcpauth_records WHERE key = $1) WHERE key = $2', [
      JSON.stringify(mine),
      JSON.stringify(other)
    ])
    expect(await store.read(other)).toBeUndefined()
    expect(await store.read(mine)).toMatchObject({ access_token: 'the-secret-of-mine' })
  })

  test('a key is rotated: the old one opens, the new one seals; without the old one the error says what is missing', async () => {
    const key = freshKey()
    await encrypted().transact(key, (held) => held.write({ access_token: 'sealed-with-key-1', generation: 1 }), deadline)
    const both = encrypted({ encryptionKey: [{ env: 'KEY_2' }, { env: 'KEY_1' }] })
    expect(await both.read(key)).toMatchObject({ access_token: 'sealed-with-key-1' })
    const onlyNew = encrypted({ encryptionKey: { env: 'KEY_2' } })
    const missing = { code: 'MCPAUTH_STORE_UNAVAILABLE', hint: expect.stringContaining('old key') }
    await expect(onlyNew.read(key)).rejects.toMatchObject(missing)
    await expect(onlyNew.transact(key, (held) => held.write({ access_token: 'unread' }), deadline)).rejects.toMatchObject(missing)
    await both.transact(key, (held) => held.write({ access_token: 'sealed-with-key-2', generation: 2 }), deadline)
    expect(await onlyNew.read(key)).toMatchObject({ access_token: 'sealed-with-key-2' })
  })

  test('a key that is lost is no dead end: the error says how to go on', async () => {
    const key = freshKey()
    await encrypted().transact(key, (held) => held.write({ access_token: 'sealed-with-key-1', generation: 1 }), deadline)
    const onlyNew = encrypted({ encryptionKey: { env: 'KEY_2' } })
    const { hint } = (await onlyNew.read(key).catch((error: McpAuthError) => error)) as McpAuthError
    await pool.query(/DELETE FROM [^,]+/.exec(hint as string)?.[0] as string)
    await onlyNew.transact(key, (held) => held.write({ access_token: 'of the next login', generation: 1 }), deadline)
    expect(await onlyNew.read(key)).toMatchObject({ access_token: 'of the next login' })
  })

  test.each<[string, Partial<PostgresStoreOptions>, string]>([
    ['no key', {}, 'MCPAUTH_INVALID_OPTION'],
    ['an empty list of keys', { encryptionKey: [] }, 'MCPAUTH_INVALID_OPTION'],
    ['a short key', { encryptionKey: () => 'short' }, 'MCPAUTH_INVALID_OPTION'],
    ['a missing variable', { encryptionKey: { env: 'NO_SUCH_KEY' } }, 'MCPAUTH_CREDENTIAL_MISSING'],
    ['a missing file', { encryptionKey: { file: '/no/such/file' } }, 'MCPAUTH_CREDENTIAL_MISSING'],
    ['no pool', { pool: {} as never, dangerouslyStorePlaintext: true }, 'MCPAUTH_INVALID_OPTION']
  ])('refuses, at construction, %s', (_what, options, code) => {
    expect(() => postgresStore({ pool, env, ...options })).toThrow(expect.objectContaining({ code }))
  })

  test.each(['server', 'login'] as const)('a newer record of a %s is neither read nor overwritten', async (kind) => {
    const store = postgresStore({ pool, dangerouslyStorePlaintext: true })
    const key = { ...freshKey(), kind } as StoreKey
    await store.transact(key, (held) => held.write({ access_token: 'a', generation: 1 }), deadline)
    await pool.query('UPDATE mcpauth_records SET record = $1 WHERE key = $2', [
      Buffer.from('{"version":99,"access_token":"b"}'),
      JSON.stringify(key)
    ])
    await expect(store.read(key)).rejects.toMatchObject({ code: 'MCPAUTH_STORE_NEWER' })
    await expect(store.transact(key, (held) => held.read(), deadline)).rejects.toMatchObject({ code: 'MCPAUTH_STORE_NEWER' })
    await expect(store.transact(key, (held) => held.write({ access_token: 'c' }), deadline)).rejects.toMatchObject({
      code: 'MCPAUTH_STORE_NEWER'
    })
    const { rows } = await pool.query('SELECT record FROM mcpauth_records WHERE key = $1', [JSON.stringify(key)])
    expect(rows[0].record.toString()).toBe('{"version":99,"access_token":"b"}')
  })

  test('transactions of one key run one after the other; those of another key do not wait', async () => {
    const store = encrypted()
    const [key, other] = [freshKey(), freshKey()]
    let inside = 0
    const gate = Promise.withResolvers<void>()
    const first = store.transact(
      key,
      async () => {
        inside += 1
        await gate.promise
        inside -= 1
      },
      deadline
    )
    await expect.poll(() => inside, { timeout: 20_000 }).toBe(1)
    const second = store.transact(key, async () => expect(inside).toBe(0), deadline)
    await store.transact(other, async () => expect(inside).toBe(1), deadline)
    gate.resolve()
    await Promise.all([first, second])
  })

  test('a waiter that leaves, leaves; one whose deadline passes is told who holds the row', async () => {
    const store = encrypted()
    const key = freshKey()
    const gate = Promise.withResolvers<void>()
    const entered = Promise.withResolvers<void>()
    const holder = store.transact(
      key,
      async () => {
        entered.resolve()
        await gate.promise
      },
      deadline
    )
    await entered.promise
    await expect(store.transact(key, async () => undefined, { deadlineMs: 100 })).rejects.toMatchObject({
      code: 'MCPAUTH_LOCK_TIMEOUT',
      message: expect.stringContaining(String(process.pid))
    })
    gate.resolve()
    await holder
  })

  test('re-entrancy is refused instead of waiting for itself', async () => {
    const store = encrypted()
    const key = freshKey()
    await expect(store.transact(key, () => store.transact(key, async () => undefined, deadline), deadline)).rejects.toMatchObject({
      code: 'MCPAUTH_LOCK_REENTRANT'
    })
    const other = freshKey()
    await expect(store.transact(key, () => store.transact(other, async () => 'nested', deadline), deadline)).resolves.toBe('nested')
  })

  test('what the work throws is thrown, unchanged, and nothing is written', async () => {
    const store = encrypted()
    const key = freshKey()
    const error = new Error('the connection to the authorization server was lost')
    await expect(store.transact(key, () => Promise.reject(error), deadline)).rejects.toBe(error)
    expect(await store.read(key)).toBeUndefined()
  })

  test('a login holds a lease, not a connection: a pool of one still serves others', async () => {
    const store = encrypted({ pool: database.pool({ max: 1 }) })
    const key = freshKey() as { kind: 'server'; url: string }
    await store.transact(
      { kind: 'login', url: key.url },
      async (login) => {
        await store.transact(key, (held) => held.write({ access_token: 'logged-in', generation: 1 }), deadline)
        expect(login.lost.aborted).toBe(false)
        await expect(store.transact({ kind: 'login', url: 'https://else.example/mcp' }, async () => 'free', deadline)).resolves.toBe('free')
      },
      deadline
    )
    expect(await store.read(key)).toMatchObject({ access_token: 'logged-in' })
  })

  test('missing tables and an unreachable server are typed errors with a hint', async () => {
    await using empty = await startDatabase()
    await expect(postgresStore({ pool: empty.pool(), dangerouslyStorePlaintext: true }).read(freshKey())).rejects.toMatchObject({
      code: 'MCPAUTH_STORE_UNAVAILABLE',
      hint: expect.stringContaining('ensureSchema')
    })
    const gone = database.pool({ port: 1, connectionTimeoutMillis: 5000 })
    const error = await postgresStore({ pool: gone, dangerouslyStorePlaintext: true })
      .read(freshKey())
      .catch((reason: unknown) => reason)
    expect(McpAuthError.is(error) && error.code).toBe('MCPAUTH_STORE_UNAVAILABLE')
  })
})

test('T8 one refresh under a PostgreSQL row lock: eight processes find one expired token, one of them asks, all go on with the new one', async () => {
  const key = freshKey()
  const store = encrypted()
  await store.transact(key, (held) => held.write({ access_token: 'generation-1', generation: 1 }), deadline)
  const workers = Array.from({ length: 8 }, () => fork(new URL('./refreshing-worker.ts', import.meta.url)))
  try {
    await Promise.all(workers.map((worker) => once(worker, 'message')))
    const answers = workers.map((worker) => once(worker, 'message'))
    for (const worker of workers) worker.send({ config: database.config, key, encryptionKey: key1 })
    const results = (await Promise.all(answers)).map(([message]) => message as { generation: number; asked: boolean })
    expect(results.map(({ generation }) => generation)).toEqual(Array(8).fill(2))
    expect(results.filter(({ asked }) => asked)).toHaveLength(1)
  } finally {
    for (const worker of workers) worker.kill()
  }
})

test('T8 a holder that is killed frees the row with its connection', async () => {
  const key = freshKey()
  const store = encrypted()
  const worker = fork(new URL('./refreshing-worker.ts', import.meta.url))
  await once(worker, 'message')
  worker.send({ config: database.config, key, encryptionKey: key1, hold: true })
  await once(worker, 'message')
  worker.kill('SIGKILL')
  await expect(store.transact(key, async () => 'free again', deadline)).resolves.toBe('free again')
})

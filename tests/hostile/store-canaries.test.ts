import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { McpAuthError, type StoreKey, type TokenRecord } from '@mcpauth/core'
import { fileLock, fileStore, memoryStore, storeFileName } from '@mcpauth/token-store'
import { keyringStore } from '@mcpauth/token-store-keyring'
import { postgresStore } from '@mcpauth/token-store-postgres'
import { Pool } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Database } from '../postgres/database.ts'
import { createCanary, everythingOf, leaksIn } from './canary.ts'
import {
  deadline,
  encryptionKey,
  fullDisk,
  grantOf,
  hostileDatabase,
  keep,
  keyOf,
  memoryKeychain,
  temporaryFolders
} from './hostile-stores.ts'
import { type Sinks, watchSinks } from './sinks.ts'

const url = 'https://mcp.example.com/mcp'
const key = keyOf(url)
const folders = temporaryFolders()
afterAll(() => folders[Symbol.dispose]())

let sinks: Sinks
beforeEach(() => {
  sinks = watchSinks()
})
afterEach(() => sinks[Symbol.dispose]())

/** New secrets for each test: what is registered already could not leak, however careless the code. */
function freshCanaries(): Record<'access' | 'refresh' | 'secret', string> {
  return { access: createCanary('access'), refresh: createCanary('refresh'), secret: createCanary('secret') }
}
type Canaries = ReturnType<typeof freshCanaries>

interface Outcome {
  readonly seen: string
  readonly code: string | undefined
}

/** Runs what may fail, and gathers all that comes out of it besides its result. */
async function outcome(work: () => unknown, ...looked: readonly unknown[]): Promise<Outcome> {
  let thrown: unknown
  try {
    await work()
  } catch (error) {
    thrown = error
  }
  return {
    seen: [everythingOf(thrown), ...looked.map(everythingOf), sinks.text()].join('\n'),
    code: McpAuthError.is(thrown) ? thrown.code : thrown === undefined ? undefined : String(thrown)
  }
}

const whole = (canaries: Canaries): string => JSON.stringify(grantOf(url, canaries))
/** As a record that somebody wrote by hand, or that a disk has bitten. */
const damaged: Record<string, (canaries: Canaries) => string | Buffer> = {
  'a record cut in the middle': (canaries) => whole(canaries).slice(0, -40),
  'a record cut in a token': (canaries) => whole(canaries).slice(0, whole(canaries).indexOf(canaries.access) + 40),
  'nothing but a token': ({ access }) => access,
  'a token in quotes': ({ access }) => JSON.stringify(access),
  'a list of tokens': ({ access }) => JSON.stringify([access]),
  'a token in the place of each field': ({ access }) =>
    JSON.stringify(Object.fromEntries(['token_type', 'scope', 'version', 'generation', 'issuer', 'client'].map((name) => [name, access]))),
  'a token as the name of a field': ({ access }) => JSON.stringify({ [access]: 1, access_token: 1 }),
  'a token with a line break': ({ access }) => JSON.stringify({ access_token: `${access}\r\nX: 1` }),
  'tokens in objects': ({ access, refresh }) => JSON.stringify({ access_token: { access }, refresh_token: [refresh] }),
  'a client that is a secret': ({ secret }) => JSON.stringify({ access_token: 'some-access-token', client: secret }),
  'a token endpoint with a password': ({ secret }) =>
    JSON.stringify({ token_endpoint: `ftp://x:${secret}@as.example/`, access_token: 'a' }),
  "another server's record": (canaries) => whole(canaries).replaceAll(url, 'https://other.example.com/mcp'),
  'a server_url with a password': (canaries) => whole(canaries).replaceAll(url, `https://x:${canaries.secret}@mcp.example.com/mcp`),
  'a record in UTF-16': (canaries) => Buffer.from(whole(canaries), 'utf16le')
}
const newer = (canaries: Canaries): string => JSON.stringify({ ...grantOf(url, canaries), version: 9 })

/** What a program may hand over that no store takes. */
const unwritable: Record<string, (canaries: Canaries) => object> = {
  'a token with a line break': ({ access }) => ({ access_token: `${access}\n` }),
  'a token that is an object': ({ access }) => ({ access_token: { access } }),
  'a version that is a secret': ({ secret }) => ({ version: secret }),
  "another server's record": (canaries) => ({ ...grantOf(url, canaries), server_url: `https://x:${canaries.secret}@other.example.com/` }),
  'a record with a ring': ({ access }) => {
    const ring: Record<string, unknown> = { access_token: access }
    ring.ring = ring
    return ring
  }
}

describe('T13: fileStore leaks nothing', () => {
  function folderWith(content: string | Buffer): string {
    const root = folders.make()
    writeFileSync(fileOf(root), content, { mode: 0o600 })
    return root
  }
  const fileOf = (root: string): string => join(root, `${storeFileName(key)}.json`)

  test('when all goes well: written, read, listed, cleared', async () => {
    const canaries = freshCanaries()
    const root = folders.make()
    const store = fileStore({ root })
    const { seen, code } = await outcome(async () => {
      await keep(store, key, grantOf(url, canaries))
      expect(leaksIn(JSON.stringify(await store.read(key)), canaries)).toEqual(Object.keys(canaries))
      expect(await store.list()).toEqual([key])
      for (const end of ['guard', 'owner'])
        expect(leaksIn(readFileSync(join(root, `${storeFileName(key)}.${end}`), 'latin1'), canaries)).toEqual([])
      await store.transact(key, (held) => held.clear(), deadline)
      expect(leaksIn(readFileSync(fileOf(root), 'latin1'), canaries)).toEqual([])
    }, store)
    expect(code).toBeUndefined()
    expect(leaksIn(seen, canaries)).toEqual([])
  })

  test.each(Object.entries(damaged))('when the file holds %s', async (_title, contentOf) => {
    const canaries = freshCanaries()
    const content = contentOf(canaries)
    const store = fileStore({ root: folderWith(content) })
    const { seen, code } = await outcome(async () => {
      expect(await store.list()).toEqual([])
      expect(await store.read(key)).toBeUndefined()
      await keep(store, key, { access_token: 'the-next-access-token', generation: 2 })
    }, store)
    expect(code).toBeUndefined()
    expect(sinks.events()).toBeGreaterThan(0)
    expect(leaksIn(seen, canaries)).toEqual([])
  })

  test('when the file was written by a newer version', async () => {
    const canaries = freshCanaries()
    const store = fileStore({ root: folderWith(newer(canaries)) })
    for (const work of [() => store.read(key), () => keep(store, key, { access_token: 'a' })]) {
      const { seen, code } = await outcome(work, store)
      expect(code).toBe('MCPAUTH_STORE_NEWER')
      expect(leaksIn(seen, canaries)).toEqual([])
    }
  })

  test('when others may read the file, or it is a link, or a folder stands in its place', async () => {
    const canaries = freshCanaries()
    const open = folderWith(whole(canaries))
    chmodSync(fileOf(open), 0o644)
    const linked = folders.make()
    symlinkSync(fileOf(open), fileOf(linked))
    const blocked = folders.make()
    mkdirSync(fileOf(blocked))
    const codes: unknown[] = []
    for (const root of [open, linked, blocked]) {
      const store = fileStore({ root })
      const { seen, code } = await outcome(() => store.read(key), store)
      codes.push(code)
      expect(leaksIn(seen, canaries)).toEqual([])
    }
    expect(codes).toEqual([undefined, 'MCPAUTH_STORE_UNSAFE', 'MCPAUTH_STORE_UNSAFE'])
  })

  test.each(Object.entries(unwritable))('when it is handed %s', async (_title, recordOf) => {
    const canaries = freshCanaries()
    const store = fileStore({ root: folders.make() })
    const { seen, code } = await outcome(() => keep(store, key, recordOf(canaries) as TokenRecord), store)
    expect(code).toBe('MCPAUTH_INVALID_OPTION')
    expect(leaksIn(seen, canaries)).toEqual([])
  })

  test('when the disk is full, the lock is taken, or the work has failed with the record in its hands', async () => {
    const canaries = freshCanaries()
    const root = folders.make()
    await keep(fileStore({ root }), key, grantOf(url, canaries))
    const full = fileStore({ root, probe: fullDisk() })
    const waiting = fileStore({ root })
    const works: Array<[code: string, work: () => Promise<unknown>]> = [
      [
        'MCPAUTH_STORE_UNAVAILABLE',
        () => full.transact(key, async (held) => held.write({ ...(await held.read()), generation: 2 }), deadline)
      ],
      ['MCPAUTH_STORE_UNAVAILABLE', () => full.transact(key, (held) => held.clear(), deadline)],
      [
        'MCPAUTH_LOCK_TIMEOUT',
        () => fileStore({ root }).transact(key, () => waiting.transact(key, async () => undefined, { deadlineMs: 50 }), deadline)
      ]
    ]
    for (const [expected, work] of works) {
      const { seen, code } = await outcome(work, full, waiting)
      expect([expected, 'MCPAUTH_LOCK_REENTRANT']).toContain(code)
      expect(leaksIn(seen, canaries)).toEqual([])
    }
  })
})

describe('T13: postgresStore leaks nothing', () => {
  const hostile = hostileDatabase()
  let database: Database
  let count = 0
  beforeAll(async () => {
    database = await hostile.database()
  })
  afterAll(() => hostile[Symbol.asyncDispose]())
  const freshKey = (): StoreKey => keyOf(`https://mcp-${++count}.example.com/mcp`)
  const serverOf = (of: StoreKey): string => (of as { url: string }).url

  test('when all goes well: neither the table, nor the log of a server that logs every statement, nor the list of what runs, holds a secret', async () => {
    const canaries = { ...freshCanaries(), encryptionKey }
    const pool = database.pool({ options: '-c log_statement=all -c log_parameter_max_length=-1' })
    const store = postgresStore({ pool, encryptionKey: { env: 'KEY' }, env: { KEY: encryptionKey } })
    const mine = freshKey()
    const { seen, code } = await outcome(async () => {
      await keep(store, mine, grantOf(serverOf(mine), canaries))
      expect(leaksIn(JSON.stringify(await store.read(mine)), canaries)).toEqual(['access', 'refresh', 'secret'])
      await store.list()
      const { rows } = await pool.query('SELECT application_name, query FROM pg_stat_activity')
      expect(leaksIn(JSON.stringify(rows), canaries)).toEqual([])
      const { rows: table } = await pool.query("SELECT *, encode(record, 'escape') AS bytes FROM mcpauth_records")
      expect(leaksIn(JSON.stringify(table), canaries)).toEqual([])
    }, store)
    expect(code).toBeUndefined()
    expect(database.log()).toContain('INSERT INTO mcpauth_records')
    expect(leaksIn(seen + database.log(), canaries)).toEqual([])
  })

  const unreachable: Record<string, (password: string, port: number) => ConstructorParameters<typeof Pool>[0]> = {
    'the password is wrong': (password, port) => ({ host: '127.0.0.1', port, user: 'postgres', password, database: 'postgres' }),
    'the connection string with the password is no URL': (password) => ({
      connectionString: `postgres://postgres:${password}@127.0.0.1:port/x`
    }),
    'the connection string names no database that exists': (_, port) => ({
      connectionString: `postgres://postgres:only-on-loopback@127.0.0.1:${port}/${createCanary('database')}`
    }),
    'the password function throws': (password, port) => ({
      host: '127.0.0.1',
      port,
      user: 'postgres',
      password: () => {
        throw new Error(`the vault says ${password}`)
      }
    }),
    'the password function throws a TypeError': (password, port) => ({
      host: '127.0.0.1',
      port,
      user: 'postgres',
      password: () => {
        throw new TypeError(`cannot read ${password}`)
      }
    }),
    'nobody listens': (password) => ({ host: '127.0.0.1', port: 1, user: 'postgres', password })
  }
  test.each(Object.entries(unreachable))('when %s', async (_title, configOf) => {
    const password = createCanary('password')
    const pool = new Pool(configOf(password, Number(database.config.port)))
    pool.on('error', () => undefined)
    onTestFinished(() => pool.end())
    const store = postgresStore({ pool, encryptionKey: { env: 'KEY' }, env: { KEY: encryptionKey } })
    for (const work of [
      () => store.read(key),
      () => store.list(),
      () => store.ensureSchema(),
      () => store.transact(key, async () => undefined, { deadlineMs: 300 })
    ]) {
      const { seen, code } = await outcome(work, store)
      expect(code).toMatch(/^MCPAUTH_(STORE_UNAVAILABLE|LOCK_TIMEOUT)$/)
      expect(leaksIn(seen, { password, encryptionKey })).toEqual([])
    }
  })

  const badKeys: Record<string, (canary: string) => Parameters<typeof postgresStore>[0]> = {
    'in a variable': (canary) => ({ encryptionKey: { env: 'KEY' }, env: { KEY: canary }, pool: {} as Pool }),
    'in a file': (canary) => {
      const file = join(folders.make(), 'key')
      writeFileSync(file, canary, { mode: 0o600 })
      return { encryptionKey: { file }, pool: {} as Pool }
    },
    'in place of the name of a variable': (canary) => ({ encryptionKey: { env: canary }, env: {}, pool: {} as Pool }),
    'in place of the path of a file': (canary) => ({ encryptionKey: { file: canary }, pool: {} as Pool }),
    'from a function': (canary) => ({ encryptionKey: () => canary, pool: {} as Pool }),
    'in what a function throws': (canary) => ({
      encryptionKey: () => {
        throw Object.assign(new Error(`cannot open ${canary}`), { canary })
      },
      pool: {} as Pool
    }),
    'as a literal': (canary) => ({ encryptionKey: canary as never, pool: {} as Pool })
  }
  test.each(Object.entries(badKeys))('when the encryption key is none, %s', async (title, optionsOf) => {
    const canary = createCanary('key')
    const { seen, code } = await outcome(() => postgresStore(optionsOf(canary)))
    expect(code).toMatch(/^MCPAUTH_(INVALID_OPTION|CREDENTIAL_MISSING)$/)
    // A path is named: it says which file is missing. A secret put in its place is one that the user himself wrote into the program.
    if (!title.startsWith('in place of the path')) expect(leaksIn(seen, { canary })).toEqual([])
  })

  test('when the key is another one, the row was changed, cut, or taken from another server, or stands in clear text', async () => {
    const canaries = freshCanaries()
    const store = await hostile.encrypted()
    const pool = database.pool({ max: 2 })
    const mine = freshKey()
    await keep(store, mine, grantOf(serverOf(mine), canaries))
    const stranger = postgresStore({ pool, encryptionKey: () => randomBytes(32) })
    const change = (sql: string, ...values: unknown[]): Promise<unknown> =>
      pool.query(`UPDATE mcpauth_records SET ${sql} WHERE name = $1`, [storeFileName(mine), ...values])
    const clear = Buffer.from(JSON.stringify(grantOf(serverOf(mine), canaries)))
    const works: Array<[code: string | undefined, work: () => Promise<unknown>]> = [
      ['MCPAUTH_STORE_UNAVAILABLE', () => stranger.read(mine)],
      [undefined, () => change('record = set_byte(record, 40, get_byte(record, 40) # 1)').then(() => store.read(mine))],
      [undefined, () => change('record = substr(record, 1, 5)').then(() => store.read(mine))],
      ['MCPAUTH_STORE_UNAVAILABLE', () => change('record = $2, key_id = NULL', clear).then(() => store.read(mine))],
      ['MCPAUTH_STORE_UNAVAILABLE', () => change('key_id = $2', canaries.access).then(() => store.read(mine))]
    ]
    for (const [expected, work] of works) {
      const { seen, code } = await outcome(work, store, stranger)
      expect(code).toBe(expected)
      expect(leaksIn(seen, { ...canaries, encryptionKey })).toEqual([])
    }
  })

  test.each([...Object.entries(damaged), ['a newer version', newer] as const])(
    'when a row in clear text holds %s',
    async (_title, contentOf) => {
      const canaries = freshCanaries()
      const pool = database.pool({ max: 2 })
      const store = postgresStore({ pool, dangerouslyStorePlaintext: true })
      await keep(store, key, { access_token: 'some-access-token', generation: 1 })
      await pool.query('UPDATE mcpauth_records SET record = $1 WHERE name = $2', [Buffer.from(contentOf(canaries)), storeFileName(key)])
      const { seen, code } = await outcome(() => store.read(key), store)
      expect([undefined, 'MCPAUTH_STORE_NEWER']).toContain(code)
      expect(leaksIn(seen, canaries)).toEqual([])
      await pool.query('DELETE FROM mcpauth_records WHERE name = $1', [storeFileName(key)])
    }
  )

  test.each(Object.entries(unwritable))('when it is handed %s', async (_title, recordOf) => {
    const canaries = freshCanaries()
    const store = await hostile.encrypted()
    const { seen, code } = await outcome(() => keep(store, key, recordOf(canaries) as TokenRecord), store)
    expect(code).toBe('MCPAUTH_INVALID_OPTION')
    expect(leaksIn(seen, canaries)).toEqual([])
  })

  test('when the database refuses a row with a serialization failure that quotes it, or a constraint that does', async () => {
    const canaries = freshCanaries()
    const { stuck, free } = await hostile.stuck()
    const mine = freshKey()
    const record = grantOf(serverOf(mine), canaries)
    await keep(free, mine, record)
    const limited = database.pool({ max: 2, options: '-c search_path=narrow' })
    const narrow = postgresStore({ pool: limited, dangerouslyStorePlaintext: true })
    await limited.query('CREATE SCHEMA narrow')
    await narrow.ensureSchema()
    await limited.query('ALTER TABLE mcpauth_records ADD CHECK (record IS NULL)')
    for (const [store, sqlState] of [
      [stuck, '40001'],
      [narrow, '23514']
    ] as const) {
      const { seen, code } = await outcome(() => keep(store, mine, { ...record, generation: 2 }), store)
      expect(code).toBe('MCPAUTH_STORE_UNAVAILABLE')
      expect(seen).toContain(sqlState)
      expect(leaksIn(seen, canaries)).toEqual([])
    }
    // The database itself did quote it: to whoever reads its log, which clear text is no secret from.
    expect(leaksIn(database.log(), canaries)).toEqual(['access', 'refresh', 'secret'])
  })

  test('when the connection is lost while it holds the lock, and while the pool has it', async () => {
    const canaries = { ...freshCanaries(), encryptionKey }
    const pool = new Pool({ ...database.config, max: 2, application_name: 'to-be-cut' })
    onTestFinished(() => pool.end())
    const store = postgresStore({ pool, encryptionKey: { env: 'KEY' }, env: { KEY: encryptionKey } })
    const other = database.pool({ max: 1 })
    const cut = (): Promise<unknown> =>
      other.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'to-be-cut' OR application_name LIKE 'mcpauth %'"
      )
    const mine = freshKey()
    const { seen, code } = await outcome(async () => {
      await keep(store, mine, grantOf(serverOf(mine), canaries))
      await store.transact(
        mine,
        async (held) => {
          await held.read()
          const lost = once(held.lost, 'abort')
          await cut()
          await lost
          held.lost.throwIfAborted()
        },
        deadline
      )
    }, store)
    expect(code).toBe('MCPAUTH_STORE_UNAVAILABLE')
    await store.read(mine)
    const idle = once(pool, 'error')
    await cut()
    await idle
    expect(sinks.text()).toContain('an idle database connection was lost')
    expect(leaksIn(seen + sinks.text(), canaries)).toEqual([])
  })
})

describe('T13: keyringStore leaks nothing', () => {
  const lock = (): ReturnType<typeof fileLock> => fileLock({ root: folders.make() })

  test('when all goes well, with a record in one entry and in many', async () => {
    for (const maxEntryLength of [256, 65_536]) {
      const canaries = freshCanaries()
      const store = keyringStore({ keychain: memoryKeychain(), lock: lock(), maxEntryLength })
      const { seen, code } = await outcome(async () => {
        await keep(store, key, grantOf(url, canaries))
        expect(leaksIn(JSON.stringify(await store.read(key)), canaries)).toEqual(Object.keys(canaries))
        await store.list()
        await store.transact(key, (held) => held.clear(), deadline)
      }, store)
      expect(code).toBeUndefined()
      expect(leaksIn(seen, canaries)).toEqual([])
    }
  })

  test.each([...Object.entries(damaged), ['a newer version', newer] as const])('when an entry holds %s', async (_title, contentOf) => {
    const canaries = freshCanaries()
    const keychain = memoryKeychain()
    const store = keyringStore({ keychain, lock: lock() })
    for (const entry of [String(contentOf(canaries)), JSON.stringify({ v: 1, key, record: String(contentOf(canaries)) })]) {
      keychain.entries.set(storeFileName(key), entry)
      const { seen, code } = await outcome(() => store.read(key), store)
      expect([undefined, 'MCPAUTH_STORE_NEWER']).toContain(code)
      expect(leaksIn(seen, canaries)).toEqual([])
    }
  })

  test.each(['get', 'set', 'delete', 'all'] as const)('when the keychain refuses to %s and quotes what it was given', async (method) => {
    const canaries = freshCanaries()
    const keychain = memoryKeychain()
    const shared = lock()
    await keep(keyringStore({ keychain, lock: shared, maxEntryLength: 300 }), key, grantOf(url, canaries))
    const quoting = {
      ...keychain,
      [method]: (...given: unknown[]) => {
        throw Object.assign(new Error(`refused: ${given.join()} ${[...keychain.entries.values()].join()}`), { given, keychain })
      }
    }
    const store = keyringStore({ keychain: quoting, lock: shared, maxEntryLength: 300 })
    const { seen, code } = await outcome(async () => {
      await keep(store, key, { ...grantOf(url, canaries), generation: 2 })
      await store.list()
    }, store)
    expect(code).toBe('MCPAUTH_STORE_UNAVAILABLE')
    expect(leaksIn(seen, canaries)).toEqual([])
  })

  test('when none answers and another store takes over', async () => {
    const canaries = freshCanaries()
    const none = { get: () => Promise.reject(new Error(`no keychain for ${canaries.access}`)) }
    const store = keyringStore({ keychain: { ...memoryKeychain(), ...none }, lock: lock(), fallback: memoryStore() })
    const { seen, code } = await outcome(() => keep(store, key, grantOf(url, canaries)), store)
    expect(code).toBeUndefined()
    expect(sinks.events()).toBe(1)
    expect(leaksIn(seen, canaries)).toEqual([])
  })
})

// What a token store in PostgreSQL costs: a read, a refresh, a process that finds the work done. Local database, commits that wait for the disk.
import { randomBytes } from 'node:crypto'
import type { StoreKey, TokenStore } from '@mcpauth/core'
import { oauthTokens } from '@mcpauth/oauth'
import { postgresStore } from '@mcpauth/token-store-postgres'
import { type Database, startDatabase } from '../../tests/postgres/database.ts'
import { compare, print } from './harness.ts'
import { record } from './record.ts'

type Pool = ReturnType<Database['pool']>

const key: StoreKey = { kind: 'server', url: 'https://mcp.example.com/mcp' }
const deadline = { deadlineMs: 60_000 }

export async function postgresBench(): Promise<void> {
  await using database = await startDatabase({ durable: true })
  const pool = database.pool({ max: 16 })
  const encryptionKey = randomBytes(32)
  const store = postgresStore({ pool, encryptionKey: () => encryptionKey })
  await store.ensureSchema()
  await rewrite(store, key)
  await costs(pool, store)
  await throughput(store)
  await herd(() => postgresStore({ pool, encryptionKey: () => encryptionKey }))
  await hotPath(pool, store)
}

async function costs(pool: Pool, store: TokenStore): Promise<void> {
  const rows = await compare(
    [
      { name: 'one round trip (SELECT 1)', run: () => pool.query('SELECT 1') },
      { name: 'read a record and open it', run: () => store.read(key) },
      { name: 'lock + re-read: another process has refreshed', run: () => store.transact(key, (held) => held.read(), deadline) },
      { name: 'lock + re-read + write + commit: a refresh, without the authorization server', run: () => rewrite(store, key) }
    ],
    { rounds: 60, calls: 10 }
  )
  print('tokens in PostgreSQL', rows)
}

async function rewrite(store: TokenStore, at: StoreKey): Promise<void> {
  await store.transact(
    at,
    async (held) => {
      await held.read()
      await held.write(record)
    },
    deadline
  )
}

async function throughput(store: TokenStore): Promise<void> {
  const keys = Array.from({ length: 64 }, (_, index): StoreKey => ({ kind: 'server', url: `https://mcp-${index}.example.com/mcp` }))
  await Promise.all(keys.map((each) => rewrite(store, each)))
  const rounds = 10
  const started = performance.now()
  for (let round = 0; round < rounds; round += 1) await Promise.all(keys.map((each) => rewrite(store, each)))
  const perSecond = (keys.length * rounds * 1000) / (performance.now() - started)
  console.log(
    `${perSecond.toFixed(0).padStart(8)}  refreshes a second of different keys, 16 connections, one client process, database on the same machine`
  )
}

/** Many holders-to-be of one row, as many processes are at one expiry: how soon they have all had their look. */
async function herd(makeStore: () => TokenStore): Promise<void> {
  const stores = Array.from({ length: 15 }, makeStore)
  const rounds = 20
  const started = performance.now()
  for (let round = 0; round < rounds; round += 1)
    await Promise.all(stores.map((store) => store.transact(key, (held) => held.read(), deadline)))
  const microseconds = ((performance.now() - started) * 1000) / rounds / stores.length
  console.log(`${microseconds.toFixed(0).padStart(8)}  µs until the next of those who wait for one row has had its look`)
}

async function hotPath(pool: Pool, store: TokenStore): Promise<void> {
  const tokens = oauthTokens(key.kind === 'server' ? key.url : '', { store })
  await tokens.current()
  let queries = 0
  const count = (): void => {
    queries += 1
  }
  pool.on('acquire', count)
  for (let i = 0; i < 1_000_000; i += 1) void tokens.current()
  pool.off('acquire', count)
  console.log(`${String(queries).padStart(8)}  database queries in 1,000,000 uses of a token that is fresh`)
}

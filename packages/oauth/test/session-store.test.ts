import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StoreKey, TokenRecord, TokenStore } from '@mcpauth/core'
import { type FileStore, fileStore, memoryStore } from '@mcpauth/token-store'
import { afterEach, expect, test } from 'vitest'
import { clientCredentials } from '../src/index.ts'
import { sessionStore } from '../src/session-store.ts'
import { keyOf, scene } from './small-servers.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

function temporaryFolder(): string {
  const root = mkdtempSync(join(tmpdir(), 'mcpauth-test-'))
  cleanups.push(() => rmSync(root, { recursive: true }))
  return root
}

/** The warnings that say that the session goes on in memory. */
function warnings(): Record<string, unknown>[] {
  const seen: Record<string, unknown>[] = []
  const listener = (message: unknown): void => {
    if ((message as { problem?: unknown }).problem === 'in-memory') seen.push(message as Record<string, unknown>)
  }
  subscribe('mcpauth:store:warning', listener)
  cleanups.push(() => unsubscribe('mcpauth:store:warning', listener))
  return seen
}

/** A folder that cannot be made, also by root: its parent is a file. */
function impossibleStore(): FileStore {
  const file = join(temporaryFolder(), 'file')
  writeFileSync(file, '')
  return fileStore({ root: join(file, 'auth') })
}

/** Runs `work` as a user who owns nothing. */
async function unprivileged<T>(work: () => Promise<T>): Promise<T> {
  process.seteuid?.(65_534)
  try {
    return await work()
  } finally {
    process.seteuid?.(0)
  }
}

/** A cache as a CI secret is mounted: it can be read, and neither written nor locked. */
function readOnly(store: TokenStore): FileStore {
  const root = join(temporaryFolder(), 'mounted')
  // The error of the real lock in a folder that cannot be written.
  const locked = impossibleStore()
  return { root, read: store.read, list: store.list, transact: locked.transact }
}

async function put(store: TokenStore, key: StoreKey, record: TokenRecord): Promise<void> {
  await store.transact(key, (held) => held.write(record), { deadlineMs: 1_000 })
}

const nowSeconds = (): number => Math.floor(Date.now() / 1000)

test('T8: a folder that cannot be made: the login and its refreshes go on in memory, with one warning', async () => {
  await using world = await scene()
  const seen = warnings()
  const tokens = world.tokensWith({ store: impossibleStore() })
  expect(await tokens.login()).toMatchObject({ loggedIn: true })
  const fetch = world.fetchWith(tokens)
  expect(await world.post(fetch)).toBe(200)
  world.as.live.clear()
  expect(await world.post(fetch)).toBe(200)
  expect(world.as).toMatchObject({ refreshes: 1, reused: 0 })
  expect(world.login.asked).toHaveLength(1)
  expect(seen).toEqual([
    { problem: 'in-memory', what: expect.stringContaining('ENOTDIR'), hint: expect.stringContaining('MCPAUTH_AUTH_DIR') }
  ])
  await tokens.logout()
  expect(await tokens.status()).toMatchObject({ loggedIn: false })
})

test('T8: a grant without a person goes on in memory as well', async () => {
  await using world = await scene()
  const fetch = world.fetchWith({
    store: impossibleStore(),
    grant: clientCredentials(),
    client: { clientId: 'agent', clientSecret: () => 'the-secret' }
  })
  expect(await world.post(fetch)).toBe(200)
  expect(await world.post(fetch)).toBe(200)
  expect(world.as.grants).toBe(1)
})

test('T8: a user without a home folder logs in and works', async () => {
  await using world = await scene()
  const home = process.env.HOME
  const named = process.env.MCPAUTH_AUTH_DIR
  cleanups.push(() => Object.assign(process.env, { HOME: home }, named === undefined ? {} : { MCPAUTH_AUTH_DIR: named }))
  process.env.HOME = ''
  delete process.env.MCPAUTH_AUTH_DIR
  const store = fileStore()
  expect(store.root).toBeUndefined()
  expect(await world.post(world.fetchWith({ store }))).toBe(200)
})

test.runIf(process.getuid?.() === 0)('T8: a user who may not even read the cache logs in and works; what is there stays', async () => {
  await using world = await scene()
  const folder = temporaryFolder()
  chmodSync(folder, 0o755)
  const root = join(folder, 'auth')
  mkdirSync(root, { mode: 0o700 })
  const store = fileStore({ root })
  const stored = { access_token: 'of-somebody-else', refresh_token: 'shared', generation: 3 }
  await put(store, keyOf(world.mcp), stored)
  await unprivileged(async () => {
    expect(await world.post(world.fetchWith({ store }))).toBe(200)
    await expect(world.post(world.fetchWith({ store, login: undefined } as never))).rejects.toMatchObject({
      code: 'MCPAUTH_LOGIN_REQUIRED',
      message: expect.stringContaining('EACCES')
    })
  })
  expect(await store.read(keyOf(world.mcp))).toMatchObject(stored)
})

test('T8: the disk is full at the login: the session goes on in memory, and on disk as soon as it can', async () => {
  await using world = await scene()
  const seen = warnings()
  const root = temporaryFolder()
  let full = true
  const working = fileStore({ root })
  const failing = fileStore({ root, probe: { replaceFile: () => Promise.reject(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })) } })
  const store: FileStore = { ...working, transact: (...given) => (full ? failing : working).transact(...given) }
  const fetch = world.fetchWith({ store })
  expect(await world.post(fetch)).toBe(200)
  expect(await world.post(fetch)).toBe(200)
  expect(world.login.asked).toHaveLength(1)
  expect(await working.read(keyOf(world.mcp))).toBeUndefined()
  expect(seen).toEqual([expect.objectContaining({ what: expect.stringContaining('ENOSPC') })])
  full = false
  world.as.live.clear()
  expect(await world.post(fetch)).toBe(200)
  expect(await working.read(keyOf(world.mcp))).toMatchObject({ generation: 2, refresh_token: expect.any(String) })
  expect(world.as).toMatchObject({ refreshes: 1, reused: 0 })
})

test('T8: a disk that is full when a refreshed token is written costs no grant when another process refreshes next', async () => {
  await using world = await scene()
  const root = temporaryFolder()
  const working = fileStore({ root })
  const full = (): never => {
    throw Object.assign(new Error('full'), { code: 'ENOSPC' })
  }
  await world.tokensWith({ store: working }).login()
  world.as.live.clear()
  expect(
    await world.post(
      world.fetchWith({ store: fileStore({ root, probe: { at: (point) => (point === 'temp-written' ? full() : undefined) } }) })
    )
  ).toBe(200)
  world.as.live.clear()
  expect(await world.post(world.fetchWith({ store: working }))).toBe(200)
  expect(world.as).toMatchObject({ refreshes: 2, reused: 0 })
})

test('T8: a login on a full disk leaves an older login on it as it was', async () => {
  await using world = await scene()
  const root = temporaryFolder()
  const working = fileStore({ root })
  const stored = { access_token: 'old', refresh_token: 'dead-soon', generation: 4, issuer: world.as.origin }
  await put(working, keyOf(world.mcp), stored)
  const store = fileStore({ root, probe: { replaceFile: () => Promise.reject(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })) } })
  const tokens = world.tokensWith({ store })
  expect(await tokens.login()).toMatchObject({ loggedIn: true, generation: 5 })
  expect(await world.post(world.fetchWith(tokens))).toBe(200)
  expect(await working.read(keyOf(world.mcp))).toMatchObject(stored)
})

test('a read-only cache works while its token does', async () => {
  await using world = await scene()
  const seen = warnings()
  const cache = memoryStore()
  world.as.live.add('mounted')
  await put(cache, keyOf(world.mcp), { access_token: 'mounted', refresh_token: 'shared', expires_at_unix: nowSeconds() + 600 })
  const fetch = world.fetchWith({ store: readOnly(cache) })
  expect(await world.post(fetch)).toBe(200)
  expect(world.as.at('/token')).toEqual([])
  expect(seen).toEqual([])
})

test('a read-only cache whose shared refresh token is needed says what to do, and the token is not sent', async () => {
  await using world = await scene()
  const cache = memoryStore()
  const stored = { access_token: 'mounted', refresh_token: 'shared', expires_at_unix: nowSeconds() - 5, issuer: world.as.origin }
  await put(cache, keyOf(world.mcp), { ...stored, token_endpoint: `${world.as.origin}/token`, client: { client_id: 'a' } })
  const store = readOnly(cache)
  const why = { code: 'MCPAUTH_STORE_UNAVAILABLE', hint: expect.stringContaining('MCPAUTH_AUTH_DIR') }
  await expect(world.post(world.fetchWith({ store }))).rejects.toMatchObject(why)
  await expect(world.tokensWith({ store }).logout()).rejects.toMatchObject(why)
  expect(world.as.at('/token')).toEqual([])
  expect(existsSync(store.root as string)).toBe(false)
})

test('a read-only cache whose token is over and has no refresh token: a new one is kept in memory; logout says what stays', async () => {
  await using world = await scene()
  const cache = memoryStore()
  await put(cache, keyOf(world.mcp), { access_token: 'mounted', generation: 7, expires_at_unix: nowSeconds() - 5 })
  const tokens = world.tokensWith({ store: readOnly(cache) })
  expect(await world.post(world.fetchWith(tokens))).toBe(200)
  expect(await tokens.status()).toMatchObject({ generation: 8 })
  await expect(tokens.logout()).rejects.toMatchObject({ code: 'MCPAUTH_STORE_UNAVAILABLE' })
})

test('a store that cannot be reached is an error: what it holds may be needed', async () => {
  const failing = (): Promise<never> => Promise.reject(Object.assign(new Error('no'), { code: 'MCPAUTH_STORE_UNAVAILABLE' }))
  const broken = sessionStore({ ...memoryStore(), read: failing, transact: failing })
  const key = { kind: 'server', url: 'https://mcp.example.com/mcp' } as const
  await expect(broken.read(key)).rejects.toThrow('no')
  await expect(broken.transact(key, async () => 1, { deadlineMs: 10 })).rejects.toThrow('no')
})

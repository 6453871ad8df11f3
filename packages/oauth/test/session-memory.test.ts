import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type HeldRecord, McpAuthError, type McpAuthErrorCode, type StoreKey, type TokenRecord, type TokenStore } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type SessionStore, sessionStore } from '../src/session-store.ts'

const key: StoreKey = { kind: 'server', url: 'https://mcp.example.com/mcp' }
const login: StoreKey = { ...key, kind: 'login' }
const limits = { deadlineMs: 1_000 }

const failure = (cause?: string, code: McpAuthErrorCode = 'MCPAUTH_STORE_UNAVAILABLE'): McpAuthError =>
  new McpAuthError(code, 'the store does not work', cause === undefined ? {} : { cause: { code: cause } })

/** What does not work just then; each may be mended by the test. */
interface Faults {
  read?: Error | undefined
  lock?: Error | undefined
  write?: Error | undefined
  commit?: Error | undefined
}

/** A store on a disk of its own that fails as a test says, and the session on top of it. */
async function world(faults: Faults = {}, record?: TokenRecord) {
  const disk = memoryStore()
  if (record) await disk.transact(key, (held) => held.write(record), limits)
  const store: TokenStore = {
    ...disk,
    read: (name) => (faults.read ? Promise.reject(faults.read) : disk.read(name)),
    transact: async (name, work, options) => {
      if (faults.lock) throw faults.lock
      const result = await disk.transact(
        name,
        (held) => {
          const write: HeldRecord['write'] = (next) => (faults.write ? Promise.reject(faults.write) : held.write(next))
          return work({ ...held, write })
        },
        options
      )
      if (faults.commit) throw faults.commit
      return result
    }
  }
  const warnings: unknown[] = []
  const listener = (message: unknown): void => void warnings.push(message)
  subscribe('mcpauth:store:warning', listener)
  onTestFinished(() => void unsubscribe('mcpauth:store:warning', listener))
  return { disk, session: sessionStore(store), warnings, faults }
}

const keep = (session: SessionStore, record: TokenRecord, name: StoreKey = key): Promise<void> =>
  session.transact(name, (held) => held.keep(record), limits)

describe('a store that works', () => {
  test('holds everything, and nothing is said', async () => {
    const { disk, session, warnings } = await world()
    await keep(session, { access_token: 'kept', generation: 1 })
    await session.transact(key, async (held) => await held.write({ ...(await held.read()), generation: 2 }), limits)
    expect(await disk.read(key)).toMatchObject({ access_token: 'kept', generation: 2 })
    expect(await session.read(key)).toMatchObject({ generation: 2 })
    expect(await session.list()).toEqual([key])
    expect(await session.isInMemory(key)).toBe(false)
    await session.transact(key, (held) => held.clear(), limits)
    expect((await disk.read(key))?.access_token).toBeUndefined()
    expect(session.trouble()).toBeUndefined()
    expect(warnings).toEqual([])
  })

  test('hands on what the work throws, and the news of a lost lock', async () => {
    const { session, disk } = await world()
    await expect(session.transact(key, () => Promise.reject(new Error('a bug')), limits)).rejects.toThrow('a bug')
    const lost = new AbortController()
    const losing = sessionStore({
      ...disk,
      transact: (name, work, o) => disk.transact(name, (held) => work({ ...held, lost: lost.signal }), o)
    })
    expect(await losing.transact(key, async (held) => held.lost, limits)).toBe(lost.signal)
  })
})

describe('a read that fails', () => {
  test.each(['EACCES', 'EPERM', 'ENOTDIR'])('with %s is a cache that is none, with one warning', async (code) => {
    const { session, warnings } = await world({ read: failure(code) })
    expect(await session.read(key)).toBeUndefined()
    expect(await session.read(key)).toBeUndefined()
    expect(session.trouble()).toMatchObject({ code: 'MCPAUTH_STORE_UNAVAILABLE' })
    expect(warnings).toEqual([expect.objectContaining({ problem: 'in-memory' })])
  })

  test.each<[string, Error]>([
    ['because nobody answers', failure('ECONNREFUSED')],
    ['for no known reason', failure()],
    ['because the record is newer', failure('EACCES', 'MCPAUTH_STORE_NEWER')],
    ['for a bug', Object.assign(new Error('a bug'), { cause: { code: 'EACCES' } })]
  ])('%s is an error: what is there may be needed', async (_name, error) => {
    const { session, warnings } = await world({ read: error })
    await expect(session.read(key)).rejects.toBe(error)
    await expect(session.isInMemory(key)).rejects.toBe(error)
    expect(session.trouble()).toBeUndefined()
    expect(warnings).toEqual([])
  })
})

describe('T8: a write that fails', () => {
  const grant = { access_token: 'new', refresh_token: 'rt', generation: 2 }

  test('keeps a new grant in memory, where this process finds it, with one warning', async () => {
    const { session, disk, warnings } = await world({ write: failure('ENOSPC') }, { access_token: 'old', generation: 1 })
    await keep(session, grant)
    await keep(session, { ...grant, generation: 3 })
    expect(await session.read(key)).toMatchObject({ ...grant, generation: 3 })
    expect(await session.transact(key, (held) => held.read(), limits)).toMatchObject({ generation: 3 })
    expect(await session.isInMemory(key)).toBe(true)
    expect(await disk.read(key)).toMatchObject({ access_token: 'old', generation: 1 })
    expect(warnings).toHaveLength(1)
  })

  test('does not keep a refreshed record in memory: the caller must know', async () => {
    const error = failure('ENOSPC')
    const { session } = await world({ write: error }, { access_token: 'old', generation: 1 })
    await expect(session.transact(key, (held) => held.write(grant), limits)).rejects.toBe(error)
    expect(await session.read(key)).toMatchObject({ access_token: 'old' })
    expect(session.trouble()).toBeUndefined()
  })

  test('for another reason than the store’s is an error', async () => {
    const error = failure('ENOSPC', 'MCPAUTH_INVALID_OPTION')
    const { session } = await world({ write: error })
    await expect(keep(session, grant)).rejects.toBe(error)
    expect(await session.read(key)).toBeUndefined()
  })

  test('and works again later: then the disk has the last word', async () => {
    const { session, disk, faults } = await world({ write: failure('ENOSPC') })
    await keep(session, grant)
    faults.write = undefined
    expect(await session.isInMemory(key)).toBe(true)
    await session.transact(key, (held) => held.write({ ...grant, access_token: 'on disk', generation: 2 }), limits)
    expect(await session.read(key)).toMatchObject({ access_token: 'on disk' })
    expect(await session.isInMemory(key)).toBe(false)
    expect(await disk.read(key)).toMatchObject({ access_token: 'on disk' })
  })

  test.each<[string, TokenRecord, TokenRecord]>([
    ['without a generation, the disk’s counts', { access_token: 'on disk' }, { access_token: 'in memory' }],
    ['a generation counts more than none', { access_token: 'on disk', generation: 1 }, { access_token: 'in memory' }]
  ])('%s', async (_name, stored, kept) => {
    const { session } = await world({ write: failure('ENOSPC') }, stored)
    await keep(session, kept)
    expect(await session.read(key)).toMatchObject({ access_token: 'on disk' })
  })

  test('leaves nothing behind at a logout', async () => {
    const { session, disk } = await world({ write: failure('ENOSPC') }, { access_token: 'old', generation: 1 })
    await keep(session, grant)
    await session.transact(key, (held) => held.clear(), limits)
    expect((await session.read(key))?.access_token).toBeUndefined()
    expect((await disk.read(key))?.access_token).toBeUndefined()
  })
})

describe('T8: a commit that fails', () => {
  const grant = { access_token: 'new', generation: 2 }

  test('keeps in memory what was to be kept, and the work’s result stands', async () => {
    const { session } = await world({ commit: failure() })
    const result = await session.transact(
      key,
      async (held) => {
        await held.keep(grant)
        return 'done'
      },
      limits
    )
    expect(result).toBe('done')
    expect(session.trouble()).toBeDefined()
  })

  test('is an error where nothing was to be kept, or the work had failed by itself', async () => {
    const error = failure()
    const { session } = await world({ commit: error })
    await expect(session.transact(key, (held) => held.write(grant), limits)).rejects.toBe(error)
    const other = failure('EPIPE')
    const failing = session.transact(
      key,
      async (held) => {
        await held.keep(grant)
        throw other
      },
      limits
    )
    await expect(failing).rejects.toBe(other)
    expect(session.trouble()).toBeUndefined()
  })
})

describe('T8: a lock that cannot be taken', () => {
  const shared = { access_token: 'stored', refresh_token: 'shared', generation: 3 }
  const alone = { access_token: 'stored', generation: 3 }

  test.each<[string, StoreKey]>([
    ['its own', key],
    ['that a login replaces', login]
  ])('is an error while there is a shared refresh token: %s', async (_name, name) => {
    const error = failure()
    const { session, warnings } = await world({ lock: error }, shared)
    let ran = false
    const work = async (): Promise<void> => {
      ran = true
    }
    await expect(session.transact(name, work, limits)).rejects.toBe(error)
    expect(ran).toBe(false)
    expect(warnings).toEqual([])
  })

  test.each<[string, TokenRecord | undefined]>([
    ['nothing', undefined],
    ['no refresh token', alone]
  ])('is done without where %s is stored', async (_name, record) => {
    const { session, disk, warnings } = await world({ lock: failure() }, record)
    for (const name of [key, login]) expect(await session.transact(name, async (held) => !held.lost.aborted, limits)).toBe(true)
    const seen = await session.transact(
      key,
      async (held) => {
        const before = await held.read()
        await held.keep({ access_token: 'new', refresh_token: 'ours', generation: 4 })
        return before
      },
      limits
    )
    expect(seen?.access_token).toBe(record?.access_token)
    expect(await session.read(key)).toMatchObject({ refresh_token: 'ours', generation: 4 })
    expect((await disk.read(key))?.generation).toBe(record?.generation)
    expect(warnings).toHaveLength(1)
  })

  test('is done without for a refresh token that only this process has', async () => {
    const { session } = await world({ lock: failure() }, alone)
    await keep(session, { access_token: 'new', refresh_token: 'ours', generation: 4 })
    await session.transact(key, (held) => held.write({ access_token: 'newer', refresh_token: 'ours-2', generation: 5 }), limits)
    expect(await session.read(key)).toMatchObject({ refresh_token: 'ours-2', generation: 5 })
  })

  test('is done without for a registration, which has nothing to protect', async () => {
    const { session } = await world({ lock: failure() }, shared)
    const client: StoreKey = { kind: 'client', issuer: 'https://as.example.com' }
    await keep(session, { client: { client_id: 'registered' } }, client)
    expect((await session.read(client))?.client?.client_id).toBe('registered')
  })

  test('for another reason than the store’s is an error', async () => {
    const error = failure(undefined, 'MCPAUTH_LOCK_TIMEOUT')
    const { session } = await world({ lock: error })
    await expect(session.transact(key, async () => 'done', limits)).rejects.toBe(error)
  })

  test('T18: a logout says what it had to leave on disk, and works where it left nothing', async () => {
    const error = failure()
    const left = await world({ lock: error }, alone)
    await keep(left.session, { access_token: 'new', generation: 4 })
    await expect(left.session.transact(key, (held) => held.clear(), limits)).rejects.toBe(error)
    for (const record of [{ generation: 3 }, undefined]) {
      const nothing = await world({ lock: error }, record)
      await keep(nothing.session, { access_token: 'new', generation: 4 })
      await nothing.session.transact(key, (held) => held.clear(), limits)
      expect((await nothing.session.read(key))?.access_token).toBeUndefined()
    }
  })

  test('keeps the order: of two who go without, one works after the other', async () => {
    const { session } = await world({ lock: failure() })
    const order: string[] = []
    const one = Promise.withResolvers<string>()
    const first = session.transact(key, async () => void order.push(await one.promise), limits)
    const second = session.transact(key, async () => void order.push('second'), limits)
    await new Promise(setImmediate)
    one.resolve('first')
    await Promise.all([first, second])
    expect(order).toEqual(['first', 'second'])
  })
})

test('what a store has beside the interface stays, such as the folder of a file store', () => {
  expect(sessionStore(Object.assign(memoryStore(), { root: '/cache' }))).toMatchObject({ root: '/cache' })
})

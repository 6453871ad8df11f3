import type { StoreKey, TokenStore } from '@mcpauth/core'
import { describe, expect, test } from 'vitest'
import { fileStore, memoryStore } from '../src/index.ts'
import { temporaryFolder } from './temporary-folder.ts'

const key: StoreKey = { kind: 'server', url: 'https://mcp.example.com/mcp' }
const options = { deadlineMs: 10_000 }
const stores: [string, () => TokenStore][] = [
  ['memoryStore', () => memoryStore()],
  ['fileStore', () => fileStore({ root: temporaryFolder() })]
]

/** A promise and what settles it. */
function gate(): { opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve }
}

function begin(begun: { open(): void }, held: { opened: Promise<void> }): Promise<void> {
  begun.open()
  return held.opened
}

describe.each(stores)('%s', (_, create) => {
  test('what was never written reads as undefined', async () => {
    const store = create()
    expect(await store.read(key)).toBeUndefined()
    expect(await store.list()).toEqual([])
  })

  test('a record is read back, bound to its server, and neither side can change the other’s object', async () => {
    const store = create()
    const record = { access_token: 'a', client: { client_id: 'abc' } }
    await store.transact(key, (held) => held.write(record), options)
    record.client.client_id = 'changed'
    const read = await store.read(key)
    expect(read).toMatchObject({ access_token: 'a', server_url: key.url, client: { client_id: 'abc' } })
    if (read?.client) read.client.client_id = 'changed too'
    expect(await store.read(key)).toMatchObject({ client: { client_id: 'abc' } })
  })

  test('two profiles, registrations and identities do not meet', async () => {
    const store = create()
    const keys: StoreKey[] = [
      key,
      { ...key, profile: 'work' },
      { kind: 'client', issuer: 'https://as.example.com' },
      { kind: 'identity', issuer: 'https://as.example.com', clientId: 'cli' }
    ]
    for (const [index, each] of keys.entries()) {
      const record = each.kind === 'client' ? { client: { client_id: 'c' } } : { access_token: `token-${index}` }
      await store.transact(each, (held) => held.write(record), options)
    }
    expect(await store.read(keys[1] as StoreKey)).toMatchObject({ access_token: 'token-1', profile: 'work' })
    await store.transact({ kind: 'login', url: key.url }, (held) => held.write({ access_token: 'of a login' }), options)
    const listed = await store.list()
    expect(listed).toHaveLength(4)
    expect(listed).toEqual(expect.arrayContaining(keys))
  })

  test('clear leaves a tombstone with the generation, which is not listed; clearing nothing writes nothing', async () => {
    const store = create()
    await store.transact(key, (held) => held.clear(), options)
    expect(await store.read(key)).toBeUndefined()
    await store.transact(key, (held) => held.write({ access_token: 'a', refresh_token: 'r', generation: 7 }), options)
    await store.transact(key, (held) => held.clear(), options)
    expect(await store.read(key)).toEqual({ version: 1, generation: 7, server_url: key.url })
    expect(await store.list()).toEqual([])
  })

  test('a hundred read-modify-writes at once lose nothing', async () => {
    const store = create()
    const increment = (): Promise<void> =>
      store.transact(
        key,
        async (held) => {
          const record = await held.read()
          await held.write({ ...record, access_token: 'a', generation: (record?.generation ?? 0) + 1 })
        },
        options
      )
    await Promise.all(Array.from({ length: 100 }, increment))
    expect(await store.read(key)).toMatchObject({ generation: 100 })
  })

  test('what work throws is thrown, and the lock is free again', async () => {
    const store = create()
    const failure = new Error('work failed')
    await expect(store.transact(key, () => Promise.reject(failure), options)).rejects.toBe(failure)
    expect(await store.transact(key, async () => 'free', { deadlineMs: 0 })).toBe('free')
  })

  test('a lock that its own holder asks for is refused at once, also through another lock in between', async () => {
    const store = create()
    const other: StoreKey = { ...key, profile: 'other' }
    const nested = store.transact(
      key,
      () => store.transact(other, () => store.transact(key, async () => 'never', options), options),
      options
    )
    await expect(nested).rejects.toMatchObject({ code: 'MCPAUTH_LOCK_REENTRANT', hint: expect.any(String) })
  })

  test('the holder of one lock may ask for another, and for one of the same name in another store', async () => {
    const store = create()
    const inner = (of: TokenStore, at: StoreKey): Promise<string> => of.transact(at, async () => 'inside', options)
    expect(await store.transact(key, () => inner(store, { ...key, profile: 'other' }), options)).toBe('inside')
    expect(await store.transact(key, () => inner(create(), key), options)).toBe('inside')
  })

  test('what a work left running may ask for the lock when it is free', async () => {
    const store = create()
    const released = gate()
    let late: Promise<string> | undefined
    await store.transact(
      key,
      async () => {
        late = released.opened.then(() => store.transact(key, async () => 'late', options))
      },
      options
    )
    released.open()
    expect(await late).toBe('late')
  })

  test('what a work left running cannot write any more', async () => {
    const store = create()
    const released = gate()
    let late: Promise<void> | undefined
    await store.transact(
      key,
      async (held) => {
        late = released.opened.then(() => held.write({ access_token: 'too late' }))
      },
      options
    )
    released.open()
    await expect(late).rejects.toMatchObject({ code: 'MCPAUTH_CLOSED' })
    expect(await store.read(key)).toBeUndefined()
  })

  test('a waiter whose time is over is told so, and the one behind it still gets its turn', async () => {
    const store = create()
    const held = gate()
    const begun = gate()
    const first = store.transact(key, () => begin(begun, held), options)
    await begun.opened
    const second = store.transact(key, async () => 'second', { deadlineMs: 5 })
    const third = store.transact(key, async () => 'third', options)
    await expect(second).rejects.toMatchObject({ code: 'MCPAUTH_LOCK_TIMEOUT' })
    held.open()
    await first
    expect(await third).toBe('third')
  })

  test('a waiter that goes away is let go with its own reason', async () => {
    const store = create()
    const held = gate()
    const begun = gate()
    const first = store.transact(key, () => begin(begun, held), options)
    await begun.opened
    const caller = new AbortController()
    const second = store.transact(key, async () => 'never', { ...options, waiter: caller.signal })
    caller.abort(new Error('the caller went away'))
    await expect(second).rejects.toThrow('the caller went away')
    await expect(store.transact(key, async () => 'never', { ...options, waiter: caller.signal })).rejects.toThrow('went away')
    held.open()
    await first
  })

  test('a waiter that goes away while work runs changes nothing', async () => {
    const store = create()
    const caller = new AbortController()
    const work = async (): Promise<string> => {
      caller.abort()
      return 'done'
    }
    expect(await store.transact(key, work, { ...options, waiter: caller.signal })).toBe('done')
  })
})

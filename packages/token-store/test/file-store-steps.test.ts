import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { HeldRecord, StoreKey, TransactOptions } from '@mcpauth/core'
import { describe, expect, test } from 'vitest'
import { type FileLock, fileStore, type HeldLock, storeFileName } from '../src/index.ts'
import { fileSystemCall } from './file-system.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { eventsOn } from './warnings.ts'

const key: StoreKey = { kind: 'server', url: 'https://mcp.example.com/mcp' }
const options = { deadlineMs: 5_000 }
const put = (path: string, content: string): void => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeFileSync(path, content, { mode: 0o600 })
}

/** A lock that is always free, or never; keeps what it was asked for. */
function lockOf(root: string | undefined, held: HeldLock | 'never' = { lost: new AbortController().signal }) {
  const asked: Array<[StoreKey, TransactOptions]> = []
  const lock: FileLock = {
    root,
    async hold(of, work, transact) {
      asked.push([of, transact])
      if (held === 'never') throw new Error('not free')
      return await work(held)
    }
  }
  return { lock, asked }
}
function setUp(held?: HeldLock | 'never') {
  const root = temporaryFolder()
  const { lock, asked } = lockOf(root, held)
  const path = join(root, `${storeFileName(key)}.json`)
  return { root, path, asked, store: fileStore({ lock }), warnings: eventsOn('mcpauth:store:warning') }
}

test('a store is where its lock is, unless it is told', () => {
  const { lock } = lockOf('/with/the/lock')
  expect(fileStore({ lock }).root).toBe('/with/the/lock')
  expect(fileStore({ lock, root: '/own' }).root).toBe('/own')
  expect(fileStore({ env: { MCPAUTH_AUTH_DIR: '/from/env' } }).root).toBe('/from/env')
})

test('without a root nothing is read, nothing is listed, and what is to be written is a typed error', async () => {
  const store = fileStore({ lock: lockOf(undefined).lock })
  expect([await store.read(key), await store.list()]).toEqual([undefined, []])
  await expect(store.transact(key, (held) => held.write({ access_token: 'a' }), options)).rejects.toMatchObject({
    code: 'MCPAUTH_STORE_UNAVAILABLE',
    hint: expect.stringContaining('MCPAUTH_AUTH_DIR')
  })
})

test('reading a good record asks for no lock; changing it does, with the deadline and the waiter it was given', async () => {
  const { store, path, asked } = setUp()
  put(path, '{"access_token":"a"}')
  await store.read(key)
  expect(asked).toEqual([])
  const transact = { deadlineMs: 17, waiter: new AbortController().signal }
  await store.transact(key, (held) => held.read(), transact)
  expect(asked).toEqual([[key, transact]])
})

test('a record that was read under its lock is not read again before it is written', async () => {
  const { store, path } = setUp()
  put(path, '{"access_token":"a"}')
  const opened = fileSystemCall('openSync')
  const readAndWrite = async (held: HeldRecord): Promise<void> => {
    await held.read()
    await held.write({ access_token: 'b' })
  }
  await store.transact(key, readAndWrite, options)
  expect(opened.mock.calls.filter(([file]) => file === path)).toHaveLength(1)
})

test('each look at lost is a look of the lock', async () => {
  const [first, second] = [new AbortController().signal, AbortSignal.abort()]
  const signals = [first, second]
  const { store } = setUp({
    get lost() {
      return signals.shift() as AbortSignal
    }
  })
  expect(await store.transact(key, async (held) => [held.lost, held.lost], options)).toEqual([first, second])
})

describe('T12: a damaged file', () => {
  test('T12: is moved aside under the lock, for which a reader waits a second at the most', async () => {
    const { store, path, asked, warnings } = setUp()
    put(path, '{')
    expect(await store.read(key)).toBeUndefined()
    expect(asked).toEqual([[key, { deadlineMs: 1_000 }]])
    expect(readFileSync(`${path}.damaged`, 'utf8')).toBe('{')
    expect(warnings).toEqual([{ problem: 'damaged', path, reason: 'is not JSON in UTF-8', movedTo: `${path}.damaged` }])
  })

  test('T12: stays where it is when its lock is not free, reads as absent and is told of once', async () => {
    const { store, path, warnings } = setUp('never')
    put(path, '{')
    expect([await store.read(key), await store.read(key)]).toEqual([undefined, undefined])
    expect(readFileSync(path, 'utf8')).toBe('{')
    expect(warnings).toEqual([{ problem: 'damaged', path, reason: 'is not JSON in UTF-8' }])
  })

  test('T12: in whose place another process has put a good one is left alone', async () => {
    const root = temporaryFolder()
    const path = join(root, `${storeFileName(key)}.json`)
    put(path, '{')
    const lock: FileLock = {
      root,
      async hold(_key, work) {
        put(path, '{"access_token":"good"}')
        return await work({ lost: new AbortController().signal })
      }
    }
    await fileStore({ lock }).read(key)
    expect(readdirSync(root)).toEqual([`${storeFileName(key)}.json`])
  })

  test('T12: that cannot be moved is told of once, by what the system says, and reads as absent', async () => {
    const { store, path, warnings } = setUp()
    put(path, '{')
    put(join(`${path}.damaged`, 'in-the-way'), '')
    expect([await store.read(key), await store.transact(key, (held) => held.read(), options)]).toEqual([undefined, undefined])
    expect(warnings).toEqual([{ problem: 'damaged', path, reason: 'is not JSON in UTF-8', code: 'EISDIR' }])
  })

  test('T12: is kept when it is cleared, and nothing is written in its place', async () => {
    const { store, path } = setUp()
    put(path, '{')
    await store.transact(key, (held) => held.clear(), options)
    expect([existsSync(path), existsSync(`${path}.damaged`)]).toEqual([false, true])
  })
})

test('what cannot be read back is refused before anything on the disk is touched', async () => {
  const { store, path, warnings } = setUp()
  put(path, '{')
  await expect(store.transact(key, (held) => held.write({ access_token: 'a\nb' }), options)).rejects.toMatchObject({
    code: 'MCPAUTH_INVALID_OPTION'
  })
  expect([readFileSync(path, 'utf8'), warnings]).toEqual(['{', []])
})

test('after the lock is given back nothing is written or cleared any more', async () => {
  const { store, path } = setUp()
  put(path, '{"access_token":"a"}')
  const held = await store.transact(key, async (record) => record, options)
  for (const late of [() => held.write({ access_token: 'late' }), () => held.clear()])
    await expect(late()).rejects.toMatchObject({ code: 'MCPAUTH_CLOSED', message: expect.stringContaining(key.url) })
  expect(readFileSync(path, 'utf8')).toBe('{"access_token":"a"}')
})

test('T11: what is too open is told of once, by path and mode', async () => {
  const { store, root, path, warnings } = setUp()
  for (let round = 0; round < 2; round += 1) {
    put(path, '{"access_token":"a"}')
    chmodSync(path, 0o640)
    chmodSync(root, 0o750)
    await store.transact(key, (held) => held.write({ access_token: 'a' }), options)
  }
  expect(warnings).toEqual([
    { problem: 'wide-mode', path, mode: '640', tightened: true },
    { problem: 'wide-mode', path: root, mode: '750', tightened: true }
  ])
})

test('T8: a failed write is a typed error, and an event with its code', async () => {
  const root = temporaryFolder()
  const warnings = eventsOn('mcpauth:store:warning')
  const replaceFile = (): Promise<never> => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' }))
  const store = fileStore({ lock: lockOf(root).lock, probe: { replaceFile } })
  const path = join(root, `${storeFileName(key)}.json`)
  await expect(store.transact(key, (held) => held.write({ access_token: 'a' }), options)).rejects.toMatchObject({
    code: 'MCPAUTH_STORE_UNAVAILABLE',
    message: `writing ${path} failed: ENOSPC`
  })
  expect(warnings).toEqual([{ problem: 'write-failed', path, code: 'ENOSPC', hint: expect.stringContaining('disk is full') }])
})

test('T8: a folder that is deleted while its lock is held is made again, and as private: a refreshed token exists nowhere else', async () => {
  const root = join(temporaryFolder(), 'made')
  const store = fileStore({ root })
  await store.transact(
    key,
    async (held) => {
      rmSync(root, { recursive: true })
      expect(held.lost.aborted).toBe(true)
      await held.write({ access_token: 'kept' })
    },
    options
  )
  expect(await store.read(key)).toMatchObject({ access_token: 'kept' })
  expect(lstatSync(root).mode & 0o777).toBe(0o700)
})

test('T8: the steps of a write are those of a private file', async () => {
  const steps: string[] = []
  const at = (point: string): void => void steps.push(point)
  const store = fileStore({ lock: lockOf(temporaryFolder()).lock, probe: { at } })
  await store.transact(key, (held) => held.write({ access_token: 'a' }), options)
  expect(steps).toEqual(['temp-written', 'temp-synced', 'renamed'])
})

describe('the list', () => {
  const keys: StoreKey[] = [
    key,
    { kind: 'client', issuer: 'https://as.example.com' },
    { kind: 'identity', issuer: 'https://as.example.com', clientId: 'cli' }
  ]

  test('is empty where no folder is, and a typed error where none can be read', async () => {
    const root = temporaryFolder()
    expect(await fileStore({ lock: lockOf(join(root, 'absent')).lock }).list()).toEqual([])
    writeFileSync(join(root, 'clients'), 'a file')
    await expect(fileStore({ lock: lockOf(root).lock }).list()).rejects.toMatchObject({
      code: 'MCPAUTH_STORE_UNAVAILABLE',
      message: `reading ${join(root, 'clients')} failed: ENOTDIR`
    })
  })

  test('has the keys of servers, registrations and identities that hold something, and no login', async () => {
    const { store } = setUp()
    for (const each of keys) {
      const record = each.kind === 'client' ? { client: { client_id: 'c' } } : { access_token: 'a' }
      await store.transact(each, (held) => held.write(record), options)
    }
    await store.transact({ kind: 'login', url: key.url }, (held) => held.write({ access_token: 'a' }), options)
    await store.transact({ ...key, profile: 'out' }, (held) => held.write({ generation: 3 }), options)
    expect(await store.list()).toEqual(keys)
  })

  test('passes over what has another name than its key, links, and what only looks like a record', async () => {
    const { store, root, path, warnings } = setUp()
    const record = JSON.stringify({ access_token: 'a', server_url: key.url })
    for (const name of ['0'.repeat(64), `x${storeFileName(key)}`, `${storeFileName(key)}.json`, 'a'.repeat(63), 'A'.repeat(64)])
      put(join(root, `${name}.json`), record)
    put(join(root, 'elsewhere'), record)
    symlinkSync(join(root, 'elsewhere'), path)
    expect([await store.list(), warnings]).toEqual([[], []])
  })
})

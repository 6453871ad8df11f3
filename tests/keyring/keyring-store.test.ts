import { execFileSync, spawn } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StoreKey } from '@mcpauth/core'
import { fileLock, memoryStore, storeFileName } from '@mcpauth/token-store'
import { type Keychain, keyringStore } from '@mcpauth/token-store-keyring'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'

const key: StoreKey = { kind: 'server', url: 'https://mcp.example.com/mcp' }
const deadline = { deadlineMs: 20_000 }
let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'mcpauth-keyring-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

/** A keychain in memory that can stop in the middle of its writes. */
function memoryKeychain(maxLength = 1000): Keychain & { entries: Map<string, string>; writesLeft: number } {
  const entries = new Map<string, string>()
  const keychain = {
    entries,
    writesLeft: Number.POSITIVE_INFINITY,
    get: async (account: string) => entries.get(account),
    async set(account: string, password: string) {
      if (password.length > maxLength) throw new Error('too long for this platform')
      if (keychain.writesLeft-- <= 0) throw new Error('the process died here')
      entries.set(account, password)
    },
    delete: async (account: string) => void entries.delete(account),
    all: async () => [...entries].map(([account, password]) => ({ account, password }))
  }
  return keychain
}

describe('keyringStore', () => {
  test('a record longer than an entry may be is split, read back, replaced and cleared without leaving parts behind', async () => {
    const keychain = memoryKeychain()
    const store = keyringStore({ keychain, lock: fileLock({ root }), maxEntryLength: 1000 })
    for (const length of [100, 5000, 3000, 50]) {
      await store.transact(key, (held) => held.write({ access_token: 'x'.repeat(length), generation: length }), deadline)
      expect((await store.read(key))?.access_token).toHaveLength(length)
      expect(await store.list()).toEqual([key])
    }
    expect(keychain.entries.size).toBe(1)
    await store.transact(key, (held) => held.clear(), deadline)
    expect(await store.read(key)).toMatchObject({ generation: 50 })
    expect(await store.list()).toEqual([])
  })

  test('T8 a process that dies between any two writes leaves the old record or the new one, never a mixture', async () => {
    for (let writes = 0; writes < 9; writes++) {
      const keychain = memoryKeychain()
      const store = keyringStore({ keychain, lock: fileLock({ root }), maxEntryLength: 1000 })
      await store.transact(key, (held) => held.write({ access_token: 'a'.repeat(3000), generation: 1 }), deadline)
      keychain.writesLeft = writes
      await store.transact(key, (held) => held.write({ access_token: 'b'.repeat(4000), generation: 2 }), deadline).catch(() => undefined)
      const record = await store.read(key)
      expect([`1 ${'a'.repeat(3000)}`, `2 ${'b'.repeat(4000)}`]).toContain(`${record?.generation} ${record?.access_token}`)
    }
  })

  test('T12 a damaged entry reads as absent, and is told of', async () => {
    const warnings: unknown[] = []
    const listener = (message: unknown): void => void warnings.push(message)
    subscribe('mcpauth:store:warning', listener)
    onTestFinished(() => void unsubscribe('mcpauth:store:warning', listener))
    const keychain = memoryKeychain()
    const store = keyringStore({ keychain, lock: fileLock({ root }) })
    await store.transact(key, (held) => held.write({ access_token: 'a', generation: 1 }), deadline)
    const [account] = [...keychain.entries.keys()]
    for (const damaged of [
      '',
      'not JSON',
      '{"v":1}',
      '{"v":1,"key":{},"record":"{"}',
      '{"v":1,"key":{},"id":"0123456789abcdef","parts":3}'
    ]) {
      keychain.entries.set(account as string, damaged)
      warnings.length = 0
      expect(await store.read(key)).toBeUndefined()
      expect(warnings).toEqual([{ store: 'keyring', problem: 'damaged', key: key.url, reason: expect.any(String) }])
      expect(await store.list()).toEqual([])
    }
  })

  test.each([
    ['the record', { v: 1, key, record: '{"version":2,"access_token":"in another form"}' }],
    ['the entry', { v: 2, key, sealed: 'in another form' }]
  ])('what a newer version has written is neither read, listed nor overwritten: %s is of it', async (_what, newer) => {
    const keychain = memoryKeychain()
    keychain.entries.set(storeFileName(key), JSON.stringify(newer))
    const store = keyringStore({ keychain, lock: fileLock({ root }) })
    const refused = { code: 'MCPAUTH_STORE_NEWER', hint: expect.stringContaining('update') }
    await expect(store.read(key)).rejects.toMatchObject(refused)
    await expect(store.transact(key, (held) => held.write({ access_token: 'a' }), deadline)).rejects.toMatchObject(refused)
    await expect(store.transact(key, (held) => held.clear(), deadline)).rejects.toMatchObject(refused)
    expect([...keychain.entries]).toEqual([[storeFileName(key), JSON.stringify(newer)]])
    const other: StoreKey = { kind: 'server', url: 'https://other.example.com/mcp' }
    await store.transact(other, (held) => held.write({ access_token: 'b' }), deadline)
    expect(await store.list()).toEqual([other])
  })

  test('the lock files hold no secret', async () => {
    const store = keyringStore({ keychain: memoryKeychain(), lock: fileLock({ root }) })
    await store.transact(key, (held) => held.write({ access_token: 'the-secret-token', generation: 1 }), deadline)
    for (const name of readdirSync(root, { recursive: true }) as string[]) {
      if (statSync(join(root, name)).isFile()) expect(readFileSync(join(root, name), 'latin1')).not.toContain('the-secret-token')
    }
  })
})

const absent: Keychain = {
  get: () => Promise.reject(new Error('x')),
  set: () => Promise.reject(new Error('x')),
  delete: () => Promise.reject(new Error('x')),
  all: () => Promise.reject(new Error('x'))
}

test('without a keychain the fallback takes over', async () => {
  const fallback = memoryStore()
  const store = keyringStore({ keychain: absent, lock: fileLock({ root }), fallback })
  await store.transact(key, (held) => held.write({ access_token: 'kept elsewhere', generation: 1 }), deadline)
  expect(await fallback.read(key)).toMatchObject({ access_token: 'kept elsewhere' })
})

/** Runs a program inside a session bus of its own. */
async function run(command: string, args: string[], env: NodeJS.ProcessEnv): Promise<{ code: number | null; output: string }> {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  child.stderr.on('data', (chunk) => {
    output += chunk
  })
  const [code] = await once(child, 'close')
  return { code, output }
}

function installed(...commands: string[]): boolean {
  try {
    for (const command of commands) execFileSync('which', [command], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const program = new URL('./use-keyring.ts', import.meta.url).pathname

test.skipIf(!installed('dbus-run-session', 'gnome-keyring-daemon'))(
  'records survive in a real gnome-keyring, and eight processes share them',
  async () => {
    const script = `echo -n password | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; exec "$0" "$1" "$2"`
    const { code, output } = await run('dbus-run-session', ['--', 'sh', '-c', script, process.execPath, program, root], {
      HOME: root,
      XDG_DATA_HOME: join(root, 'data'),
      XDG_RUNTIME_DIR: root
    })
    expect(output).toContain('9 generations, one after the other')
    expect(code).toBe(0)
  }
)

test('where no keychain answers, the error says so and how to go on', async () => {
  const { output } = await run(process.execPath, [program, root], {
    HOME: root,
    DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent',
    XDG_RUNTIME_DIR: root
  })
  expect(output).toContain('MCPAUTH_STORE_UNAVAILABLE')
  expect(output).toContain('fileStore()')
})

import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TokenRecord, TokenStore } from '@mcpauth/core'
import { fileLock, fileStore, memoryStore, spawnGuard } from '@mcpauth/token-store'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { OAuthOptions } from '../src/index.ts'
import { OAuthResponseError } from '../src/oauth-response-error.ts'
import { type ClientOptions, checkOptions } from '../src/options.ts'
import type { RefreshTask } from '../src/refresh.ts'
import { type HelperAnswer, refreshIsolated } from '../src/refresh-isolation.ts'
import { scene } from './small-servers.ts'

const server = 'https://mcp.example.com/mcp'
const held: TokenRecord = {
  version: 1,
  generation: 1,
  access_token: 'the-old-access-token',
  refresh_token: 'the-refresh-token',
  issuer: 'https://as.example.com'
}

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'mcpauth-test-'))
  onTestFinished(() => rmSync(made, { recursive: true }))
  return made
}

/** A program in the place of node: it keeps its arguments and its order, does `work` in the shell, and says `answer`. */
function helperThat(answer: string, work = 'true'): { order(): Record<string, unknown>; arguments(): string; started(): boolean } {
  const place = folder()
  const program = join(place, 'helper')
  writeFileSync(join(place, 'answer'), answer)
  writeFileSync(program, `#!/bin/sh\necho "$@" >${place}/arguments\ncat >${place}/order\n${work}\ncat ${place}/answer\n`)
  chmodSync(program, 0o755)
  return Object.assign(insteadOfNode(program), {
    order: () => JSON.parse(readFileSync(join(place, 'order'), 'utf8')),
    arguments: () => readFileSync(join(place, 'arguments'), 'utf8'),
    started: () => {
      try {
        return readFileSync(join(place, 'arguments')).length > 0
      } catch {
        return false
      }
    }
  })
}

function insteadOfNode(program: string): object {
  const node = process.execPath
  process.execPath = program
  onTestFinished(() => {
    process.execPath = node
  })
  return {}
}

/** A record in a file store, and the task to refresh it. */
async function stored(record: TokenRecord | undefined, options: OAuthOptions = {}, more: Partial<RefreshTask> = {}) {
  const root = folder()
  const settings = checkOptions(server, { store: fileStore({ root }), refreshIsolation: 'process', ...options })
  const write = (next: TokenRecord): Promise<void> =>
    settings.store.transact(settings.key, (lock) => lock.write(next), { deadlineMs: 5_000 })
  if (record) await write(record)
  const task: RefreshTask = {
    store: settings.store,
    key: settings.key,
    stale: { value: 'the-old-access-token' },
    now: () => Date.now(),
    unsaved: () => undefined,
    mayRefresh: async () => true,
    send: () => Promise.reject(new Error('only the helper sends')),
    ...more
  }
  return { root, settings, task, write, refresh: () => refreshIsolated(task, settings) }
}

const answered = (answer: HelperAnswer): string => JSON.stringify(answer)

test('T8: a real helper refreshes with the client’s secret and writes what it got', async () => {
  await using world = await scene()
  const store = fileStore({ root: folder() })
  const client = { clientId: 'mine', clientSecret: { env: 'S' }, tokenEndpointAuthMethod: 'client_secret_post' } as const
  const tokens = world.tokensWith({ store, client, env: { S: 'the-secret-of-mine' }, refreshIsolation: 'process' })
  await tokens.login()
  world.as.live.clear()
  expect(await world.post(world.fetchWith(tokens))).toBe(200)
  expect(await tokens.status()).toMatchObject({ generation: 2 })
  expect(world.as.refreshes).toBe(1)
  expect(world.as.at('/token').at(-1)?.form.get('client_secret')).toBe('the-secret-of-mine')
})

test('T22: a helper gets its order and its secrets on standard input, and nothing secret in its arguments', async () => {
  const helper = helperThat(answered({ kind: 'refreshed' }))
  const client = { clientId: 'mine', clientSecret: { env: 'S' }, privateKey: { env: 'K' }, keyId: 'k1' }
  const options = {
    client,
    env: { S: 'the-secret', K: 'the-key' },
    scopeOnRefresh: 'requested',
    profile: 'work',
    loginWaitMs: 5,
    dangerouslyAllowHttp: true
  }
  const { refresh, root } = await stored(held, options as never, { now: () => Date.now() + 60_000 })
  await refresh()
  const { offsetMs, ...order } = helper.order()
  expect(order).toEqual({
    server,
    root,
    stale: { value: 'the-old-access-token' },
    insistMs: 60_000,
    options: {
      lockWaitMs: 180_000,
      profile: 'work',
      scopeOnRefresh: 'requested',
      dangerouslyAllowHttp: true,
      client: { clientId: 'mine', keyId: 'k1' }
    },
    secrets: { clientSecret: 'the-secret', privateKey: 'the-key' }
  })
  expect(Math.round((offsetMs as number) / 1_000)).toBe(60)
  expect(helper.arguments()).toMatch(/^\S*refresh-helper\.ts\n$/)
})

test('a helper of a client that registered itself is told of no client', async () => {
  const helper = helperThat(answered({ kind: 'refreshed' }))
  await (await stored(held)).refresh()
  expect(helper.order()).toMatchObject({ options: {}, secrets: {} })
  expect(helper.order().options).not.toHaveProperty('client')
})

test.each<[string, ClientOptions, Record<string, string>]>([
  ['no secret', { clientId: 'mine' }, {}],
  ['a secret', { clientId: 'mine', clientSecret: { env: 'S' } }, { clientSecret: 'the-secret' }],
  ['a private key', { clientId: 'mine', privateKey: { env: 'K' } }, { privateKey: 'the-key' }]
])('a helper of a client with %s is told of that client and no more', async (_name, client, secrets) => {
  const helper = helperThat(answered({ kind: 'refreshed' }))
  await (await stored(held, { client, env: { S: 'the-secret', K: 'the-key' } })).refresh()
  expect(helper.order()).toMatchObject({ options: { client: { clientId: 'mine' } } })
  expect(helper.order().secrets).toEqual(secrets)
})

test.each(['clientSecret', 'privateKey'])('where client.%s cannot be read the error names it, and no helper is started', async (name) => {
  const helper = helperThat(answered({ kind: 'refreshed' }))
  const { refresh } = await stored(held, { client: { clientId: 'mine', [name]: { env: 'UNSET' } }, env: {} })
  await expect(refresh()).rejects.toMatchObject({ message: expect.stringContaining(`client.${name}`) })
  expect(helper.started()).toBe(false)
})

test('T13: what a helper says on its standard error goes nowhere, and does not hold it up', async () => {
  // More than a pipe takes that nobody reads.
  helperThat(answered({ kind: 'refreshed' }), 'head -c 2000000 /dev/zero >&2')
  expect(await (await stored(held)).refresh()).toMatchObject({ kind: 'refreshed' })
})

test.each<[HelperAnswer, Record<string, unknown>]>([
  [{ kind: 'refreshed' }, { kind: 'refreshed', saved: true, record: held }],
  [{ kind: 'adopted' }, { kind: 'adopted', record: held }],
  [
    { kind: 'impossible', why: 'moved' },
    { kind: 'impossible', why: 'moved', record: held }
  ],
  [
    { kind: 'impossible', why: 'dead', error: { code: 'MCPAUTH_LOCK_LOST' as never, message: 'x' } },
    { kind: 'impossible', why: 'dead', record: held }
  ]
])('what a helper answers is the outcome, with what is stored by then: %j', async (answer, expected) => {
  helperThat(answered(answer))
  const outcome = await (await stored(held)).refresh()
  expect(outcome).toMatchObject(expected)
  expect(outcome).not.toHaveProperty('error')
})

test('a refusal that a helper met is the error that it would have been here', async () => {
  const response = { status: 400, error: 'invalid_grant', error_description: 'it was revoked' }
  const error = {
    code: 'MCPAUTH_OAUTH_RESPONSE',
    message: 'the refresh: status 400, invalid_grant, it was revoked',
    hint: 'log in',
    response
  } as const
  helperThat(answered({ kind: 'impossible', why: 'dead', error }))
  const outcome = await (await stored(held)).refresh()
  expect(outcome).toMatchObject({ kind: 'impossible', why: 'dead', error: { message: error.message, hint: 'log in', ...response } })
  expect((outcome as { error?: unknown }).error).toBeInstanceOf(OAuthResponseError)
})

test.each<[HelperAnswer, Record<string, unknown>]>([
  [
    {
      kind: 'failed',
      error: { code: 'MCPAUTH_OAUTH_RESPONSE', message: 'the refresh: status 503', response: { status: 503, retryAfterMs: 7 } }
    },
    { code: 'MCPAUTH_OAUTH_RESPONSE', message: 'the refresh: status 503', status: 503, retryAfterMs: 7 }
  ],
  [
    { kind: 'failed', error: { code: 'MCPAUTH_TIMEOUT', message: 'late', hint: 'try again' } },
    { code: 'MCPAUTH_TIMEOUT', message: 'late', hint: 'try again' }
  ]
])('a helper that failed is an error: %j', async (answer, expected) => {
  helperThat(answered(answer))
  const { refresh } = await stored(held)
  await expect(refresh()).rejects.toMatchObject(expected)
})

test.each([
  ['says nothing', '', 'true', 'exit 0'],
  ['says something else', 'node: bad option', 'true', 'exit 0'],
  ['is killed before it answers', '{"kind":"refreshed"}', 'kill -9 $$', 'SIGKILL']
])('a helper that %s is an error that says how it ended, and the next one may start', async (_name, answer, work, end) => {
  helperThat(answer, work)
  const { refresh } = await stored(held)
  const error = { code: 'MCPAUTH_STORE_UNAVAILABLE', message: expect.stringContaining(`(${end})`) }
  await expect(refresh()).rejects.toMatchObject(error)
  await expect(refresh()).rejects.toMatchObject(error)
})

test('T8: a helper that a signal ends once it has written has done its work', async () => {
  const there = folder()
  helperThat('', `until [ -e ${there}/written ]; do sleep 0.01; done; kill -TERM $$`)
  const { refresh, write } = await stored(held)
  const outcome = refresh()
  await write({ ...held, access_token: 'newer', generation: 2 })
  writeFileSync(join(there, 'written'), '')
  expect(await outcome).toMatchObject({ kind: 'adopted', record: { access_token: 'newer' } })
})

test('T8: a helper has a process group of its own: what ends this process’s group, such as Ctrl-C, does not end it', async () => {
  const helper = helperThat(answered({ kind: 'refreshed' }), 'kill -0 -$$ || exit 1')
  await expect((await stored(held)).refresh()).resolves.toMatchObject({ kind: 'refreshed' })
  expect(helper.started()).toBe(true)
})

test('a helper that ends before it has read its order has answered all the same', async () => {
  const program = join(folder(), 'helper')
  writeFileSync(program, `#!/bin/sh\necho '${answered({ kind: 'refreshed' })}'\n`)
  chmodSync(program, 0o755)
  insteadOfNode(program)
  const uncaught: unknown[] = []
  const listener = (error: unknown): void => void uncaught.push(error)
  process.on('uncaughtException', listener)
  onTestFinished(() => void process.off('uncaughtException', listener))
  // More than a pipe takes at once.
  const client = { clientId: 'mine', clientSecret: () => 's'.repeat(1_000_000) }
  await expect((await stored(held, { client })).refresh()).resolves.toMatchObject({ kind: 'refreshed' })
  expect(uncaught).toEqual([])
})

test('a helper that cannot be started is an error that says why', async () => {
  insteadOfNode('/nonexistent/node')
  const { refresh } = await stored(held)
  await expect(refresh()).rejects.toMatchObject({ code: 'MCPAUTH_STORE_UNAVAILABLE', message: expect.stringContaining('ENOENT') })
})

test.each<[string, TokenRecord | undefined, Partial<RefreshTask>, Record<string, unknown>]>([
  [
    'a token that somebody else has renewed',
    { ...held, access_token: 'newer', generation: 2 },
    {},
    { kind: 'adopted', record: { access_token: 'newer' } }
  ],
  ['no record', undefined, {}, { kind: 'impossible', why: 'no-refresh-token' }],
  ['no refresh token', { ...held, refresh_token: undefined as never }, {}, { kind: 'impossible', why: 'no-refresh-token' }],
  ['a resource that has moved', held, { mayRefresh: async () => false }, { kind: 'impossible', why: 'moved' }]
])('no helper is started for %s', async (_name, record, more, expected) => {
  const helper = helperThat(answered({ kind: 'refreshed' }))
  expect(await (await stored(record, {}, more)).refresh()).toMatchObject(expected)
  expect(helper.started()).toBe(false)
})

test('T8: while somebody else has a helper, one waits for the record to change, and starts none', async () => {
  const helper = helperThat(answered({ kind: 'refreshed' }))
  const { refresh, root, task, write } = await stored(held)
  const turn = spawnGuard(root, task.key).tryTake()
  const waiting = refresh()
  await write({ ...held, access_token: 'newer', generation: 2 })
  expect(await waiting).toMatchObject({ kind: 'adopted', record: { access_token: 'newer' } })
  turn?.release()
  expect(helper.started()).toBe(false)
})

test('where nothing can be refreshed, nobody else’s helper is waited for', async () => {
  const { refresh, root, task } = await stored({ access_token: 'the-old-access-token', generation: 1 }, { lockWaitMs: 100 })
  const turn = spawnGuard(root, task.key).tryTake()
  expect(await refresh()).toMatchObject({ kind: 'impossible', why: 'no-refresh-token' })
  turn?.release()
})

test('T8: what is found when the turn comes is looked at again before a helper starts', async () => {
  const helper = helperThat(answered({ kind: 'refreshed' }))
  for (const [then, expected] of [
    [{ ...held, access_token: 'newer' }, { kind: 'adopted' }],
    [
      { ...held, refresh_token: undefined as never },
      { kind: 'impossible', why: 'no-refresh-token' }
    ],
    [undefined, { kind: 'impossible', why: 'no-refresh-token' }]
  ] as const) {
    const { task, settings } = await stored(held)
    const reads = [held, then]
    const store = { ...task.store, read: async () => reads.shift() as TokenRecord | undefined }
    expect(await refreshIsolated({ ...task, store }, settings)).toMatchObject(expected)
  }
  expect(helper.started()).toBe(false)
})

test('a record that is gone once the helper has ended cannot be used', async () => {
  const { task, settings } = await stored(held)
  const reads = [held, held, undefined]
  helperThat(answered({ kind: 'refreshed' }))
  const store = { ...task.store, read: async () => reads.shift() }
  expect(await refreshIsolated({ ...task, store }, settings)).toEqual({ kind: 'impossible', why: 'no-refresh-token', record: undefined })
})

test('T8: a helper of somebody else that never ends is an error after the time to wait for a lock, and names who holds that', async () => {
  const { refresh, root, task, settings } = await stored(held, { lockWaitMs: 100 })
  const turn = spawnGuard(root, task.key).tryTake()
  const holder = { code: 'MCPAUTH_LOCK_TIMEOUT', message: expect.stringContaining(`process ${process.pid} on ${hostname()}`) }
  await settings.store.transact(task.key, () => expect(refresh()).rejects.toMatchObject(holder), { deadlineMs: 5_000 })
  await expect(refresh()).rejects.toMatchObject({ code: 'MCPAUTH_LOCK_TIMEOUT', message: expect.stringContaining(server) })
  turn?.release()
})

test('T8: an own helper that never ends is an error in the end, is left alone, and does not keep this process alive', async () => {
  const pid = join(folder(), 'pid')
  const helper = helperThat('', `echo $$ >${pid}; exec sleep 60`)
  const { refresh } = await stored(held, { lockWaitMs: 100 })
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const error = refresh().catch((reason: unknown) => reason)
  while (!existsSync(pid) || readFileSync(pid).length === 0) await new Promise(setImmediate)
  await vi.advanceTimersByTimeAsync(240_099)
  const pending = Symbol('pending')
  expect(await Promise.race([error, Promise.resolve(pending)])).toBe(pending)
  await vi.advanceTimersByTimeAsync(1)
  expect(await error).toMatchObject({ code: 'MCPAUTH_LOCK_TIMEOUT', message: expect.stringContaining(server) })
  expect(process.getActiveResourcesInfo()).not.toContain('ProcessWrap')
  expect(helper.started()).toBe(true)
  // Still there to be ended.
  process.kill(Number(readFileSync(pid, 'utf8')), 'SIGKILL')
})

const locked = (root: string): TokenStore => fileStore({ root: '/nonexistent', lock: fileLock({ root }) })

test.each<[string, OAuthOptions, boolean]>([
  ['none', { refreshIsolation: 'none', store: memoryStore() }, true],
  ['none, and a dispatcher', { refreshIsolation: 'none', dispatcher: { dispatch: () => true } }, true],
  ['a file store', { refreshIsolation: 'process', store: fileStore({ root: '/nonexistent' }) }, true],
  ['a file store with the lock of its own folder', { refreshIsolation: 'process', store: locked('/nonexistent') }, true],
  ['a file store with a lock elsewhere', { refreshIsolation: 'process', store: locked('/elsewhere') }, false],
  ['another store', { refreshIsolation: 'process', store: memoryStore() }, false],
  [
    'a dispatcher',
    { refreshIsolation: 'process', store: fileStore({ root: '/nonexistent' }), dispatcher: { dispatch: () => true } },
    false
  ],
  ['another word', { refreshIsolation: 'thread' as never, store: fileStore({ root: '/nonexistent' }) }, false]
])('a helper could do what this process would: %s', (_name, options, fine) => {
  const check = () => checkOptions(server, { store: memoryStore(), ...options })
  if (fine) expect(check).not.toThrow()
  else
    expect(check).toThrow(expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining('refreshIsolation') }))
})

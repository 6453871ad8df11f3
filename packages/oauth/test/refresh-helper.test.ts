import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable, Writable } from 'node:stream'
import type { TokenRecord } from '@mcpauth/core'
import { fileStore } from '@mcpauth/token-store'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { HelperAnswer, HelperOrder } from '../src/refresh-isolation.ts'
import { authorizationServer, type SmallAuthorizationServer } from './small-servers.ts'

const server = 'http://127.0.0.1:9/mcp'
const key = { kind: 'server', url: server } as const
const nowSeconds = (): number => Math.floor(Date.now() / 1000)

// Never called: vitest sees from it which file these tests are about.
void (() => import('../src/refresh-helper.ts'))

/** The program of the helper process, run in this one: `order` on its standard input; resolves with what it said, and its exit code. */
async function runProgram(order: string, stdout: Writable = new PassThrough()): Promise<{ said: string; exitCode: unknown }> {
  const own = { stdin: Object.getOwnPropertyDescriptor(process, 'stdin'), stdout: Object.getOwnPropertyDescriptor(process, 'stdout') }
  // In pieces, as a pipe brings them, and in the middle of a letter.
  const bytes = Buffer.from(order)
  const stdin = Readable.from([bytes.subarray(0, 30), bytes.subarray(30)], { objectMode: false })
  Object.defineProperties(process, { stdin: { value: stdin, configurable: true }, stdout: { value: stdout, configurable: true } })
  const before = process.exitCode
  try {
    // A module runs once for each of its names.
    await import(new URL(`../src/refresh-helper.ts?${randomUUID()}`, import.meta.url).href)
    return { said: stdout instanceof PassThrough ? String(stdout.read() ?? '') : '', exitCode: process.exitCode }
  } finally {
    process.exitCode = before
    Object.defineProperties(process, own as PropertyDescriptorMap)
  }
}

interface World extends AsyncDisposable {
  root: string
  as: SmallAuthorizationServer
  stored(): Promise<TokenRecord | undefined>
  hold(work: () => Promise<void>): Promise<void>
  carryOut(more?: Partial<HelperOrder>): Promise<HelperAnswer>
  order(more?: Partial<HelperOrder>): string
}

/** A server that rotates its refresh tokens, and a record of a login there in a cache on the disk. */
async function world(more: Partial<TokenRecord> = {}): Promise<World> {
  const as = await authorizationServer()
  const root = mkdtempSync(join(tmpdir(), 'mcpauth-test-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  const login = await fetch(`${as.origin}/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials' }) })
  const { refresh_token } = (await login.json()) as { refresh_token: string }
  as.seen.length = 0
  const store = fileStore({ root })
  const record: TokenRecord = {
    version: 1,
    generation: 1,
    access_token: 'the-old-access-token',
    refresh_token,
    issuer: as.origin,
    token_endpoint: `${as.origin}/token`,
    resource: server,
    client: { client_id: 'mine', token_endpoint_auth_method: 'client_secret_post' },
    ...more
  }
  await store.transact(key, (held) => held.write(record), { deadlineMs: 5_000 })
  const order: World['order'] = (changed) => {
    const stale = { value: 'the-old-access-token' }
    const options = { client: { clientId: 'mine', tokenEndpointAuthMethod: 'client_secret_post' as const } }
    return JSON.stringify({ server, root, stale, offsetMs: 0, insistMs: 50, options, secrets: { clientSecret: 'the-sécret' }, ...changed })
  }
  return {
    root,
    as,
    order,
    stored: () => store.read(key),
    hold: (work) => store.transact(key, work, { deadlineMs: 5_000 }),
    carryOut: async (changed) => JSON.parse((await runProgram(order(changed))).said),
    [Symbol.asyncDispose]: () => as[Symbol.asyncDispose]()
  }
}

test('T8: the helper refreshes with the secret of its order, writes what it gets, and says nothing but that it has', async () => {
  await using scene = await world()
  const before = await scene.stored()
  expect(await runProgram(scene.order())).toEqual({ said: '{"kind":"refreshed"}', exitCode: undefined })
  expect(scene.as.at('/token').map(({ form }) => Object.fromEntries(form))).toEqual([
    {
      grant_type: 'refresh_token',
      refresh_token: before?.refresh_token,
      client_id: 'mine',
      client_secret: 'the-sécret',
      resource: server
    }
  ])
  const after = await scene.stored()
  expect(after).toMatchObject({ generation: 2, access_token: expect.stringMatching(/^access-/) })
  expect(after?.refresh_token).not.toBe(before?.refresh_token)
  expect(scene.as.live.has(after?.access_token as string)).toBe(true)
})

test('the client’s private key goes the same way, and proves who asks', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  await using scene = await world({ client: { client_id: 'mine', token_endpoint_auth_method: 'private_key_jwt' } })
  const options = { client: { clientId: 'mine' } }
  expect(await scene.carryOut({ options, secrets: { privateKey: pem } })).toEqual({ kind: 'refreshed' })
  const form = scene.as.at('/token')[0]?.form
  expect(form?.get('client_assertion')?.split('.')).toHaveLength(3)
  expect(form?.has('client_secret')).toBe(false)
})

test('a client that registered itself is the one in the record', async () => {
  await using scene = await world({ client: { client_id: 'registered', token_endpoint_auth_method: 'none' } })
  expect(await scene.carryOut({ options: {}, secrets: {} })).toEqual({ kind: 'refreshed' })
  expect(scene.as.at('/token').map(({ form }) => form.get('client_id'))).toEqual(['registered'])
})

describe('asks nobody', () => {
  test.each<[string, Partial<TokenRecord>, Partial<HelperOrder>, HelperAnswer]>([
    ['where the stored token is another than the stale one', { access_token: 'newer', generation: 2 }, {}, { kind: 'adopted' }],
    ['without a refresh token', { refresh_token: undefined as never }, {}, { kind: 'impossible', why: 'no-refresh-token' }],
    [
      'T2: where the order names another client than the record',
      {},
      { options: { client: { clientId: 'another' } } },
      { kind: 'impossible', why: 'moved' }
    ],
    [
      'T2: where the order names another token URL than the record',
      {},
      { options: { tokenUrl: 'https://elsewhere.example/token', client: { clientId: 'mine' } } },
      { kind: 'impossible', why: 'moved' }
    ]
  ])('%s', async (_name, record, order, answer) => {
    await using scene = await world(record)
    expect(await scene.carryOut(order)).toEqual(answer)
    expect(scene.as.seen).toEqual([])
  })

  test('T17: while the token is good by the clock of whoever ordered', async () => {
    await using scene = await world({ expires_at_unix: nowSeconds() + 60 })
    const stale = undefined
    expect(await scene.carryOut({ stale, offsetMs: 30_000 })).toEqual({ kind: 'adopted' })
    expect(scene.as.seen).toEqual([])
    expect(await scene.carryOut({ stale, offsetMs: 90_000 })).toEqual({ kind: 'refreshed' })
    // The new end is by the same clock: ten minutes from then.
    expect(((await scene.stored())?.expires_at_unix ?? 0) - nowSeconds()).toBeGreaterThan(680)
  })

  test('T8: while another process holds the lock, for as long as the order says', async () => {
    await using scene = await world()
    const options = { lockWaitMs: 100, client: { clientId: 'mine' } }
    const [taken, over] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const holding = scene.hold(async () => {
      taken.resolve()
      await over.promise
    })
    await taken.promise
    const answer = await scene.carryOut({ options })
    over.resolve()
    await holding
    expect(answer).toEqual({
      kind: 'failed',
      error: { code: 'MCPAUTH_LOCK_TIMEOUT', message: expect.stringContaining(server), hint: expect.any(String) }
    })
    expect(scene.as.seen).toEqual([])
  })
})

describe('rule 5: what cannot be written', () => {
  /** The server's answer is on its way when a file stands in the place of the folder. */
  function inTheWay({ as, root }: World): { clear: () => void } {
    const away = `${root}.away`
    const answer = { access_token: 'access-2', refresh_token: 'refresh-2', token_type: 'bearer' }
    const clear = (): void => {
      rmSync(root, { force: true })
      renameSync(away, root)
    }
    as.overrides.set('/token', () => {
      renameSync(root, away)
      writeFileSync(root, '')
      return { body: answer }
    })
    return { clear }
  }

  test('T8: is written as soon as it can be', async () => {
    await using scene = await world()
    const { clear } = inTheWay(scene)
    let failures = 0
    const listener = (): void => {
      failures += 1
      if (failures === 4) clear()
    }
    subscribe('mcpauth:store:warning', listener)
    onTestFinished(() => void unsubscribe('mcpauth:store:warning', listener))
    expect(await scene.carryOut({ insistMs: 60_000 })).toEqual({ kind: 'refreshed' })
    expect(await scene.stored()).toMatchObject({ access_token: 'access-2', generation: 2 })
  })

  test('T8: is an error in the end, and not a refresh', async () => {
    await using scene = await world()
    const { clear } = inTheWay(scene)
    const answer = await scene.carryOut()
    clear()
    expect(answer).toEqual({
      kind: 'failed',
      error: { code: 'MCPAUTH_STORE_UNAVAILABLE', message: expect.stringContaining(scene.root), hint: expect.stringContaining('log in') }
    })
  })

  test('T8: because its folder was deleted is written into a new one', async () => {
    await using scene = await world()
    scene.as.overrides.set('/token', () => {
      rmSync(scene.root, { recursive: true })
      return { body: { access_token: 'access-2', refresh_token: 'refresh-2', token_type: 'bearer' } }
    })
    expect(await scene.carryOut()).toEqual({ kind: 'refreshed' })
    expect(await scene.stored()).toMatchObject({ access_token: 'access-2', generation: 2 })
  })
})

describe('rule 6: a no', () => {
  test.each<[string, string, boolean]>([
    ['invalid_grant', 'dead', false],
    ['invalid_request', 'refused', true]
  ])('of %s is told with all that the server said; the grant is %s', async (error, why, kept) => {
    await using scene = await world()
    scene.as.overrides.set('/token', () => ({ status: 400, body: { error, error_description: 'it was revoked' } }))
    expect(await scene.carryOut()).toEqual({
      kind: 'impossible',
      why,
      error: {
        code: 'MCPAUTH_OAUTH_RESPONSE',
        message: expect.stringContaining('it was revoked'),
        response: { status: 400, error, error_description: 'it was revoked' }
      }
    })
    expect((await scene.stored())?.refresh_token !== undefined).toBe(kept)
  })

  test('T9: of a server that asks to be left alone is a failure that says for how long', async () => {
    await using scene = await world()
    scene.as.overrides.set('/token', () => ({ status: 503, headers: { 'retry-after': '7' } }))
    expect(await scene.carryOut()).toMatchObject({
      kind: 'failed',
      error: { code: 'MCPAUTH_OAUTH_RESPONSE', response: { status: 503, retryAfterMs: 7_000 } }
    })
    expect(await scene.stored()).toMatchObject({ generation: 1, access_token: 'the-old-access-token' })
  })
})

test('T13: what went wrong in the helper itself is said without any word of it', async () => {
  await using scene = await world()
  const { said, exitCode } = await runProgram(scene.order({ options: null as never }))
  expect(JSON.parse(said)).toEqual({
    kind: 'failed',
    error: { code: 'MCPAUTH_STORE_UNAVAILABLE', message: 'the helper process failed' }
  })
  expect(exitCode).toBeUndefined()
})

test('T8: an order that was cut off is no order: nothing is done, and that is the exit code', async () => {
  await using scene = await world()
  const { said, exitCode } = await runProgram(scene.order().slice(0, -1))
  expect({ said, exitCode }).toEqual({ said: '', exitCode: 1 })
  expect(scene.as.seen).toEqual([])
})

test('T8: where whoever asked is gone, the record is written all the same, and nothing breaks', async () => {
  await using scene = await world()
  const gone = new Writable({ write: (_chunk, _encoding, done) => done(Object.assign(new Error('nobody reads'), { code: 'EPIPE' })) })
  const broken = new Promise((resolve) => gone.once('close', resolve))
  expect((await runProgram(scene.order(), gone)).exitCode).toBeUndefined()
  await broken
  expect(gone.errored).toMatchObject({ code: 'EPIPE' })
  expect(await scene.stored()).toMatchObject({ generation: 2 })
})

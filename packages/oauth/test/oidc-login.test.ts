import { McpAuthError, type StoreKey, secrets, type TokenRecord, type TokenStore } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { GrantRequest } from '../src/grants/grant.ts'
import { type OidcLoginOptions, oidcLogin } from '../src/index.ts'
import type { Login } from '../src/login.ts'
import { isOidcLogin } from '../src/oidc-login.ts'
import { roadNetwork } from '../src/road-network.ts'
import { sessionStore } from '../src/session-store.ts'
import { trustedNetworks } from '../src/trusted-networks.ts'
import { approving, authorizationServer } from './small-servers.ts'
import { stoppedTimers } from './stopped-timers.ts'

const { privateKey, publicKey } = await generateKeyPair('ES256')
const keys = { keys: [await exportJWK(publicKey)] }
const start = Date.now()

/** An identity provider, a person who approves, and what a grant would ask with. */
async function company(options: Partial<OidcLoginOptions> = {}, store: TokenStore = memoryStore()) {
  const idp = await authorizationServer()
  onTestFinished(() => idp[Symbol.asyncDispose]())
  idp.metadata.jwks_uri = `${idp.origin}/jwks`
  idp.overrides.set('/jwks', () => ({ body: keys }))
  const person = approving()
  const ended: unknown[] = []
  const login = async () => ({
    ...(await person()),
    finish: (problem?: unknown) => void ended.push(problem ?? 'well'),
    close: () => void ended.push('closed')
  })
  /** What the ID tokens say; undefined sends none. */
  const says: { claims: JWTPayload | undefined; lifetime: number } = { claims: { sub: 'alice' }, lifetime: 300 }
  const clock = { ms: start }
  let issued = 0
  idp.overrides.set('/token', async ({ form }) => {
    const nonce = form.get('grant_type') === 'refresh_token' ? undefined : idp.at('/authorize').at(-1)?.url.searchParams.get('nonce')
    const iat = Math.floor(clock.ms / 1000)
    issued += 1
    const id_token =
      says.claims &&
      (await new SignJWT({ iss: idp.origin, aud: 'agent', jti: `${issued}`, nonce, iat, exp: iat + says.lifetime, ...says.claims })
        .setProtectedHeader({ alg: 'ES256' })
        .sign(privateKey))
    idp.tokenFields = { id_token }
    return undefined
  })
  const made = oidcLogin({ issuer: idp.origin, clientId: 'agent', login, ...options })
  const server = new URL(idp.origin)
  const ask = {
    server,
    store: sessionStore(store),
    networkFrom: (root: URL) => trustedNetworks({ server }, roadNetwork(undefined)).networkFrom(root),
    env: {},
    now: () => clock.ms,
    resource: 'https://mcp.example.com/mcp',
    scope: 'read',
    dpop: { proof: () => 'a proof', observe: () => false }
  } as unknown as GrantRequest
  const told: string[] = []
  return {
    idp,
    person,
    ended,
    says,
    clock,
    made,
    ask,
    store,
    told,
    key: { kind: 'identity', issuer: idp.origin, clientId: 'agent' } as const,
    prepare: () => made.prepare(ask, () => void told.push('asking')),
    inBackground: () => made.prepare(ask, undefined),
    idToken: () => made.idToken(ask),
    refreshes: () => idp.at('/token').filter(({ form }) => form.get('grant_type') === 'refresh_token')
  }
}

test('N37: nobody is asked in the background, and without a login there is no ID token', async () => {
  const { person, inBackground, idToken, idp } = await company()
  await expect(inBackground()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
  await expect(idToken()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
  expect(person.asked).toEqual([])
  expect(idp.at('/token')).toEqual([])
})

test('N37: one login serves everything: with a nonce and PKCE, for the provider and nothing of the MCP server', async () => {
  const { person, prepare, inBackground, idToken, told, ended, idp } = await company()
  await prepare()
  expect(told).toEqual(['asking'])
  const query = Object.fromEntries(person.asked[0]?.searchParams ?? [])
  expect(query).toMatchObject({ client_id: 'agent', scope: 'openid', code_challenge_method: 'S256' })
  expect(query.nonce).toMatch(/^[\w-]{43}$/)
  expect(query).not.toHaveProperty('resource')
  const [token] = idp.at('/token')
  expect(token?.form.get('resource')).toBeNull()
  expect(token?.headers).not.toHaveProperty('dpop')
  expect(ended).toEqual(['well', 'closed'])
  const first = await idToken()
  expect(secrets.redact(first)).toBe('[REDACTED:id_token]')
  await prepare()
  await inBackground()
  expect(await idToken()).toBe(first)
  expect(person.asked).toHaveLength(1)
})

test('N37: of the provider’s tokens the ID token and the refresh token are kept', async () => {
  const { prepare, idToken, store, key, idp, clock } = await company()
  await prepare()
  const record = await store.read(key)
  expect(record).toMatchObject({
    access_token: await idToken(),
    refresh_token: expect.stringMatching(/^refresh-/),
    issuer: idp.origin,
    token_endpoint: `${idp.origin}/token`,
    client: { client_id: 'agent' },
    requested_scope: 'openid',
    expires_at_unix: Math.floor(clock.ms / 1000) + 300
  })
  for (const access of idp.live) expect(JSON.stringify(record)).not.toContain(access)
})

test.each([
  ['offline_access where the provider lists it', undefined, ['openid', 'offline_access'], 'openid offline_access'],
  ['no offline_access where it does not', undefined, ['openid'], 'openid'],
  ['what the user wants', 'openid email', ['offline_access'], 'openid email']
])('N37: the scope is %s', async (_name, scope, listed, expected) => {
  const { idp, person, prepare } = await company(scope === undefined ? {} : { scope })
  idp.metadata.scopes_supported = listed
  await prepare()
  expect(person.asked[0]?.searchParams.get('scope')).toBe(expected)
})

test('N37: an ID token that ends in half a minute is refreshed, without a scope and without a person', async () => {
  const { prepare, inBackground, idToken, clock, person, refreshes, idp } = await company()
  await prepare()
  const first = await idToken()
  const endsMs = Math.floor(start / 1000) * 1000 + 300_000
  clock.ms = endsMs - 30_001
  await inBackground()
  expect(await idToken()).toBe(first)
  clock.ms += 1
  await inBackground()
  expect(await idToken()).not.toBe(first)
  expect(person.asked).toHaveLength(1)
  expect(refreshes().map(({ form }) => [form.get('scope'), form.get('resource')])).toEqual([[null, null]])
  expect(idp.reused).toBe(0)
})

test('N37: one that somebody would not take is not used again', async () => {
  const { prepare, inBackground, idToken, made, person } = await company()
  await prepare()
  const first = await idToken()
  made.refused(first)
  await inBackground()
  expect(await idToken()).not.toBe(first)
  expect(person.asked).toHaveLength(1)
})

test.each<[string, JWTPayload | undefined]>([
  ['brings no ID token', undefined],
  ['brings one about somebody else', { sub: 'mallory' }],
  ['brings one for somebody else', { sub: 'alice', aud: 'another' }]
])('N37: a refresh that %s leads to the person, and its refresh token is kept', async (_name, claims) => {
  const { prepare, inBackground, idToken, clock, says, person, store, key, told } = await company()
  await prepare()
  const before = await store.read(key)
  says.claims = claims
  clock.ms += 290_000
  await expect(inBackground()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
  await expect(idToken()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
  const after = await store.read(key)
  expect(after?.refresh_token).not.toBe(before?.refresh_token)
  expect(after?.access_token).toBe(before?.access_token)
  expect(after).not.toHaveProperty('expires_at_unix')
  says.claims = { sub: 'alice' }
  await prepare()
  expect(told).toEqual(['asking'])
  expect(person.asked).toHaveLength(1)
  expect(await idToken()).not.toBe(before?.access_token)
})

test('N37: a refresh is about the same person also where the provider’s subjects are no strings', async () => {
  const { prepare, inBackground, clock, says } = await company()
  says.claims = { sub: 5 } as never
  await prepare()
  clock.ms += 290_000
  await inBackground()
  says.claims = { sub: 6 } as never
  clock.ms += 290_000
  await expect(inBackground()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
})

test('N37: a refresh token that the provider will not take leads to the person', async () => {
  const { prepare, inBackground, clock, idp, person, idToken, told } = await company()
  await prepare()
  const first = await idToken()
  clock.ms += 290_000
  const token = idp.overrides.get('/token')
  idp.overrides.set('/token', (seen) =>
    seen.form.get('grant_type') === 'refresh_token' ? { status: 400, body: { error: 'invalid_grant' } } : token?.(seen)
  )
  await expect(inBackground()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
  await prepare()
  expect(told).toEqual(['asking', 'asking'])
  expect(person.asked).toHaveLength(2)
  expect(await idToken()).not.toBe(first)
})

test('N15: a provider whose token endpoint has moved does not get the refresh token of the old one', async () => {
  const { prepare, inBackground, clock, idp, refreshes } = await company()
  await prepare()
  clock.ms += 290_000
  idp.metadata.token_endpoint = `${idp.origin}/elsewhere`
  await expect(inBackground()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
  expect(idp.at('/elsewhere')).toEqual([])
  expect(refreshes()).toEqual([])
})

test('N37: a login that fails says so in its tab, and keeps nothing', async () => {
  const { prepare, says, ended, store, key } = await company()
  says.claims = undefined
  await expect(prepare()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED', message: expect.stringContaining('sent no ID token') })
  expect(ended).toEqual([expect.objectContaining({ code: 'MCPAUTH_LOGIN_FAILED' }), 'closed'])
  says.claims = { sub: 'alice', nonce: 'another' }
  await expect(prepare()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED', message: expect.stringContaining('nonce') })
  expect(await store.read(key)).toBeUndefined()
})

test('a login that would come back to another place than the client is registered with asks nobody', async () => {
  const { prepare, person, ended } = await company({ redirectUris: ['http://127.0.0.1/elsewhere'] })
  await expect(prepare()).rejects.toMatchObject({ code: 'MCPAUTH_CLIENT_MISMATCH' })
  expect(person.asked).toEqual([])
  expect(ended).toEqual([expect.objectContaining({ code: 'MCPAUTH_CLIENT_MISMATCH' }), 'closed'])
})

test('N37: a provider without metadata is an error, and nobody is asked', async () => {
  const { prepare, idp, told } = await company()
  for (const path of ['oauth-authorization-server', 'openid-configuration'])
    idp.overrides.set(`/.well-known/${path}`, () => ({ status: 404 }))
  await expect(prepare()).rejects.toMatchObject({ code: 'MCPAUTH_DISCOVERY_FAILED' })
  expect(told).toEqual([])
})

test('T19: of several that need the person at once, one asks', async () => {
  const { prepare, person } = await company()
  await Promise.all([prepare(), prepare(), prepare()])
  expect(person.asked).toHaveLength(1)
})

test('N37: the client proves itself at the provider as the options say', async () => {
  const { prepare, idp } = await company({
    clientSecret: () => 'the-secret-at-the-provider',
    tokenEndpointAuthMethod: 'client_secret_post'
  })
  await prepare()
  expect(idp.at('/token')[0]?.form.get('client_secret')).toBe('the-secret-at-the-provider')
})

test('T19: a refresh token that the provider refuses, without calling it dead, is tried twice and not for ever', async () => {
  const { prepare, inBackground, clock, idp, refreshes, store, key } = await company()
  await prepare()
  clock.ms += 290_000
  idp.overrides.set('/token', () => ({ status: 400, body: { error: 'unauthorized_client' } }))
  for (let time = 0; time < 4; time += 1) await expect(inBackground()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
  expect(refreshes()).toHaveLength(2)
  expect(await store.read(key)).toHaveProperty('refresh_token')
})

test.each<[string, TokenRecord]>([
  ['holds only a refresh token', {}],
  ['holds a token that is none', { access_token: 'opaque' }],
  ['holds a token whose claims are none', { access_token: `a.${Buffer.from('null').toString('base64url')}.c` }]
])('a cache that %s is refreshed, and about whom it was nobody knows', async (_name, more) => {
  const { prepare, inBackground, idToken, store, key } = await company()
  await prepare()
  const { refresh_token, token_endpoint } = (await store.read(key)) as TokenRecord
  await store.transact(key, (held) => held.write({ refresh_token, token_endpoint, expires_at_unix: 1, ...more } as TokenRecord), {
    deadlineMs: 1_000
  })
  await inBackground()
  expect(await idToken()).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/)
})

test('T13: a stored ID token is a secret from the moment it is used, whoever made the store', async () => {
  const store = { ...memoryStore(), read: async () => ({ access_token: 'an-id-token-of-yesterday', expires_at_unix: 4e9 }) }
  const { idToken } = await company({}, store)
  await idToken()
  expect(secrets.redact('an-id-token-of-yesterday')).toBe('[REDACTED:id_token]')
})

test('a client secret that is not there is named as the option that it is', async () => {
  const { prepare } = await company({ clientSecret: { env: 'NOT_SET' } })
  await expect(prepare()).rejects.toMatchObject({
    code: 'MCPAUTH_CREDENTIAL_MISSING',
    message: expect.stringContaining('idToken.clientSecret')
  })
})

test.each(['well', 'badly'])('a login without finish and close ends %s all the same', async (end) => {
  const answer: Login = async () => {
    const { redirectUri, ask } = await approving()()
    return { redirectUri, ask: end === 'well' ? ask : () => Promise.reject(new Error('the browser is gone')) }
  }
  const { prepare, idToken } = await company({ login: answer })
  if (end === 'badly') return await expect(prepare()).rejects.toThrow('the browser is gone')
  await prepare()
  expect(await idToken()).toBeDefined()
})

describe('T19: the lock of a login', () => {
  test('is held while the person is asked, and the one of the tokens is not', async () => {
    const asked = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    const person = approving()
    const { prepare, store, key, idp } = await company({
      login: async () => {
        asked.resolve()
        await goOn.promise
        return await person()
      }
    })
    const login = prepare()
    await asked.promise
    const take = (taken: StoreKey) => store.transact(taken, async () => 'taken', { deadlineMs: 1 })
    await expect(take({ kind: 'login', url: idp.origin })).rejects.toMatchObject({ code: 'MCPAUTH_LOCK_TIMEOUT' })
    await expect(take(key)).resolves.toBe('taken')
    goOn.resolve()
    await login
  })

  test('is not waited for when the caller has gone', async () => {
    const { made, ask, store, idp, person } = await company()
    const held = Promise.withResolvers<void>()
    const free = Promise.withResolvers<void>()
    const work = (): Promise<void> => {
      held.resolve()
      return free.promise
    }
    const other = store.transact({ kind: 'login', url: idp.origin }, work, { deadlineMs: 1_000 })
    await held.promise
    const gone = new AbortController()
    const waiting = made.prepare({ ...ask, signal: gone.signal }, () => gone.abort(new Error('gone')))
    await expect(waiting).rejects.toThrow('gone')
    free.resolve()
    await other
    expect(person.asked).toEqual([])
  })

  test('is waited for as long as a person may take, and that of the tokens as long as a write may, not for ever', async () => {
    const inner = memoryStore()
    const waits: Record<string, number> = {}
    const store: TokenStore = {
      ...inner,
      transact: (key, work, options) => {
        waits[key.kind] = options.deadlineMs
        return inner.transact(key, work, options)
      }
    }
    const { prepare } = await company({}, store)
    await prepare()
    expect(waits).toEqual({ login: 480_000, identity: 30_000 })
  })
})

/** A store in which nothing can be written while `broken`, and that holds nothing while `gone`. The next `transact` tells of its end only after `late`. */
function fragileStore() {
  const inner = memoryStore()
  const state: { broken: boolean; gone: boolean; late: Promise<void> | undefined } = { broken: false, gone: false, late: undefined }
  const orGone = async (record: Promise<TokenRecord | undefined>): Promise<TokenRecord | undefined> =>
    state.gone ? undefined : await record
  const store: TokenStore = {
    ...inner,
    read: (key) => orGone(inner.read(key)),
    transact: async (key, work, options) => {
      const { late } = state
      state.late = undefined
      const result = await inner.transact(
        key,
        (held) => {
          const write: typeof held.write = (record) =>
            state.broken ? Promise.reject(new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', 'disk full')) : held.write(record)
          return work({ ...held, lost: held.lost, read: () => orGone(held.read()), write })
        },
        options
      )
      await late
      return result
    }
  }
  return { store, state }
}

/** A company whose ID token is over and has been refreshed, where the store could not take that. */
async function withUnsaved() {
  const { store, state } = fragileStore()
  const made = await company({}, store)
  await made.prepare()
  const first = await made.idToken()
  state.broken = true
  made.clock.ms += 290_000
  await made.inBackground()
  return { ...made, state, first, second: await made.idToken() }
}

const required = { code: 'MCPAUTH_LOGIN_REQUIRED' }

describe('T8: a refreshed ID token that cannot be written', () => {
  test('is used all the same, and its refresh token is not spent twice', async () => {
    const { first, second, inBackground, idToken, clock, idp, person, refreshes } = await withUnsaved()
    expect(second).not.toBe(first)
    clock.ms += 290_000
    await inBackground()
    expect(await idToken()).not.toBe(second)
    expect(refreshes()).toHaveLength(2)
    expect(idp.reused).toBe(0)
    expect(person.asked).toHaveLength(1)
  })

  test('is used also where there is nothing else', async () => {
    const { second, state, idToken } = await withUnsaved()
    state.gone = true
    expect(await idToken()).toBe(second)
  })

  test.each([2, 3])('counts no more when another process has stored generation %d', async (generation) => {
    const { state, store, key, idToken } = await withUnsaved()
    state.broken = false
    const others = { access_token: 'of-another-process', generation, expires_at_unix: 4e9 }
    await store.transact(key, (held) => held.write(others), { deadlineMs: 1_000 })
    expect(await idToken()).toBe('of-another-process')
  })

  test('is written later, and is then kept nowhere else: who deletes the cache is logged out', async () => {
    const timers = stoppedTimers()
    const { second, state, store, key, idToken } = await withUnsaved()
    state.broken = false
    await timers.next()
    expect((await store.read(key))?.access_token).toBe(second)
    state.gone = true
    await expect(idToken()).rejects.toMatchObject(required)
  })

  test('is not forgotten for the news that an older one has been written', async () => {
    const timers = stoppedTimers()
    const { second, state, store, key, idToken, inBackground, clock } = await withUnsaved()
    const late = Promise.withResolvers<void>()
    Object.assign(state, { broken: false, late: late.promise })
    await timers.next()
    expect((await store.read(key))?.access_token).toBe(second)
    state.broken = true
    clock.ms += 290_000
    await inBackground()
    const third = await idToken()
    late.resolve()
    await new Promise(setImmediate)
    expect(third).not.toBe(second)
    expect(await idToken()).toBe(third)
  })
})

test('what was written, here or by another process, is kept nowhere else: who deletes the cache is logged out', async () => {
  const { store, state } = fragileStore()
  const { prepare, inBackground, idToken, clock, idp, key, refreshes } = await company({}, store)
  await prepare()
  clock.ms += 290_000
  await inBackground()
  const second = await idToken()
  clock.ms += 290_000
  // Another process is faster, while this one reads the provider's metadata.
  idp.overrides.set('/.well-known/oauth-authorization-server', async () => {
    const others = { access_token: 'of-another-process', generation: 3, expires_at_unix: 4e9 }
    await store.transact(key, (held) => held.write(others), { deadlineMs: 1_000 })
    return undefined
  })
  for (const token of [second, 'of-another-process']) {
    expect(await idToken()).toBe(token)
    state.gone = true
    await expect(idToken()).rejects.toMatchObject(required)
    state.gone = false
    await inBackground()
  }
  expect(refreshes()).toHaveLength(1)
})

test('a login is told from a place where a token is', () => {
  expect(isOidcLogin(oidcLogin({ issuer: 'https://idp.example.com', clientId: 'agent', login: approving() }))).toBe(true)
  for (const other of [undefined, null, 'x', () => 'x', { env: 'X' }, { prepare: 'x' }]) expect(isOidcLogin(other)).toBe(false)
})

test.each<[string, Record<string, unknown>]>([
  ['idToken.issuer', { issuer: 'http://idp.example.com' }],
  ['idToken.clientId', { clientId: undefined }],
  ['idToken.nonsense', { nonsense: 1 }],
  ['idToken.scope', { scope: 'openid  email' }],
  ['idToken.scope', { scope: 'openid2 email' }],
  ['idToken.login', { login: {} }]
])('a login with a bad %s is refused at construction: %j', (name, change) => {
  const make = (): unknown => oidcLogin({ issuer: 'https://idp.example.com', clientId: 'agent', login: approving(), ...change } as never)
  expect(make).toThrow(expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining(`option ${name}:`) }))
})

test('a login that has given nothing out yet has nothing to take back', () => {
  const login = oidcLogin({ issuer: 'https://idp.example.com', clientId: 'agent', login: approving(), scope: 'email openid' })
  expect(() => login.refused('a.b.c')).not.toThrow()
})

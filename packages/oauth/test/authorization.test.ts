import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type AuthChallenge, McpAuthError, type TokenRecord } from '@mcpauth/core'
import { describe, expect, onTestFinished, test } from 'vitest'
import { authorizeByGrant, authorizeByLogin, loginByGrant } from '../src/authorization.ts'
import type { AuthorizationContext } from '../src/authorization-context.ts'
import type { AuthorizationWish } from '../src/authorization-request.ts'
import type { Grant } from '../src/grants/grant.ts'
import type { Login } from '../src/login.ts'
import type { OAuthOptions } from '../src/options.ts'
import { type PaperAnswer, paper, paperContext, paperGrant } from './paper-servers.ts'

const nowMs = 1_700_000_000_000
const limits = { deadlineMs: 1_000 }
const wished = (more: Partial<AuthorizationWish> = {}): AuthorizationWish => ({ challenges: [], refused: true, stale: undefined, ...more })
const scopeChallenge = (scope: string): AuthChallenge => ({ scheme: 'bearer', parameters: { scope } })

/** A person who approves, unless the test says otherwise. */
function person(ask?: (url: URL) => Promise<URLSearchParams>) {
  const asked: URL[] = []
  const login: Login = async () => ({
    redirectUri: 'http://127.0.0.1:9/callback',
    ask: async (url) => {
      asked.push(url)
      return ask ? await ask(url) : new URLSearchParams({ code: 'the-code', state: url.searchParams.get('state') as string })
    }
  })
  return { login, asked }
}

async function put(context: AuthorizationContext, record: TokenRecord): Promise<void> {
  await context.settings.store.transact(paper.key, (held) => held.write(record), limits)
}

const stored = (context: AuthorizationContext): Promise<TokenRecord | undefined> => context.settings.store.read(paper.key)

function events(...names: string[]): unknown[] {
  const heard: unknown[] = []
  const listener = (_message: unknown, name: string | symbol): void => void heard.push(name)
  for (const name of names) subscribe(name, listener)
  onTestFinished(() => {
    for (const name of names) unsubscribe(name, listener)
  })
  return heard
}

const clock = { now: () => nowMs }
const careless: OAuthOptions = { dangerouslyAllowMissingPkceMetadata: true }
/** The three ways to a new grant. */
const ways: [
  string,
  (context: AuthorizationContext, wish: AuthorizationWish) => Promise<{ asked: number; kind: string; record: TokenRecord }>
][] = [
  [
    'a login',
    async (context, wish) => {
      const { login, asked } = person()
      return { ...(await authorizeByLogin(context, login, wish)), asked: asked.length }
    }
  ],
  [
    'a grant',
    async (context, wish) => {
      const grant = paperGrant(async () => undefined)
      return { ...(await authorizeByGrant(context, grant, wish)), asked: grant.times }
    }
  ],
  [
    'a login by a grant',
    async (context, wish) => {
      const grant = paperGrant(async () => undefined, { interactive: true })
      return { ...(await loginByGrant(context, grant, wish)), asked: grant.times }
    }
  ]
]

describe.each(ways)('%s', (_way, authorize) => {
  const there = { access_token: 'there', scope: 'a b', generation: 3 }

  test.each<[string, TokenRecord, Partial<AuthorizationWish>]>([
    ['for a token that is not the stale one', there, { stale: { value: 'stale' } }],
    ['for a token where none is stale', there, {}],
    ['for a token that ends in a second', { ...there, expires_at_unix: nowMs / 1000 + 1 }, {}],
    ['for a token that has the scope', there, { addedScope: 'b' }]
  ])('asks nobody %s, and looks at no metadata either', async (_name, record, wish) => {
    const context = paperContext(clock)
    context.network.readMetadata = () => expect.unreachable()
    await put(context, record)
    expect(await authorize(context, wished(wish))).toMatchObject({ kind: 'adopted', asked: 0, record })
  })

  test.each<[string, TokenRecord, Partial<AuthorizationWish>]>([
    ['for the stale token', there, { stale: { value: 'there' } }],
    ['for a token that ends now', { ...there, expires_at_unix: nowMs / 1000 }, {}],
    ['for a token without the scope', there, { addedScope: 'b c' }],
    ['after a logout', { generation: 3 }, {}]
  ])('asks %s, and what it gets is the next generation', async (_name, record, wish) => {
    const context = paperContext(clock)
    await put(context, record)
    const outcome = await authorize(context, wished(wish))
    expect(outcome).toMatchObject({ kind: 'granted', asked: 1, record: { generation: 4, issuer: paper.issuer } })
    expect(await stored(context)).toMatchObject(outcome.record)
  })

  test.each<[string, OAuthOptions]>([
    ['is for another resource', { resource: paper.mcp }],
    ['is from another issuer', { client: { clientId: 'mine', issuer: paper.issuer } }]
  ])('N26: asks although there is a token, when that %s than the options name', async (_name, options) => {
    const context = paperContext({ ...clock, ...options })
    await put(context, { ...there, resource: 'https://other.example', issuer: 'https://other.example' })
    expect(await authorize(context, wished())).toMatchObject({ kind: 'granted', asked: 1, record: { generation: 4 } })
  })

  test('counts from what is stored when it is written, not from what was there before', async () => {
    const context = paperContext(clock)
    await put(context, { generation: 3 })
    const { read } = context.settings.store
    let reads = 0
    // Somebody logs in and out between the first look and the write.
    context.settings.store.read = async (key) => {
      const record = await read(key)
      reads += 1
      if (reads === 1) await put(context, { generation: 8 })
      return record
    }
    expect(await authorize(context, wished())).toMatchObject({ record: { generation: 9 } })
  })
})

describe('T19: logins of several processes', () => {
  test('one asks, and the others take its token', async () => {
    const context = paperContext(clock)
    const { login, asked } = person()
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => authorizeByLogin(context, login, wished())))
    expect(outcomes.map(({ kind }) => kind)).toEqual(['granted', 'adopted', 'adopted', 'adopted', 'adopted'])
    expect(asked).toHaveLength(1)
  })

  test.each(['a login', 'a login by a grant'])('%s: who waited for one that failed does not ask; who comes later does', async (way) => {
    let at = nowMs
    const context = paperContext({ now: () => at })
    const no = (): Promise<never> => Promise.reject(new McpAuthError('MCPAUTH_LOGIN_FAILED', 'no'))
    const { login, asked } = person(no)
    const grant = paperGrant(no, { interactive: true })
    const authorize = () => (way === 'a login' ? authorizeByLogin(context, login, wished()) : loginByGrant(context, grant, wished()))
    const outcomes = await Promise.allSettled([authorize(), authorize(), authorize()])
    expect(outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason.code)).toEqual(Array(3).fill('MCPAUTH_LOGIN_FAILED'))
    expect(asked.length + grant.times).toBe(1)
    at += 1
    await expect(authorize()).rejects.toThrow('no')
    expect(asked.length + grant.times).toBe(2)
  })

  test('T17: a no from when the clock was a day ahead keeps nobody from logging in', async () => {
    let at = nowMs + 86_400_000
    const context = paperContext({ now: () => at })
    const no = person(() => Promise.reject(new McpAuthError('MCPAUTH_LOGIN_FAILED', 'no')))
    await expect(authorizeByLogin(context, no.login, wished())).rejects.toThrow('no')
    at = nowMs
    expect(await authorizeByLogin(context, person().login, wished())).toMatchObject({ kind: 'granted' })
  })

  test('a failure that cannot be written down is still the login’s own', async () => {
    const context = paperContext(clock)
    const { transact } = context.settings.store
    context.settings.store.transact = (key, work, options) =>
      transact(key, (held) => work(key.kind === 'login' ? { ...held, write: () => Promise.reject(new Error('disk full')) } : held), options)
    const { login } = person(() => Promise.reject(new Error('the person said no')))
    await expect(authorizeByLogin(context, login, wished())).rejects.toThrow('the person said no')
  })

  test('whose caller goes away leaves the queue', async () => {
    for (const way of ['login', 'grant']) {
      const context = paperContext(clock)
      const taken = Promise.withResolvers<void>()
      const free = Promise.withResolvers<void>()
      const holder = context.settings.store.transact(
        { ...paper.key, kind: 'login' },
        async () => {
          taken.resolve()
          await free.promise
        },
        limits
      )
      await taken.promise
      const leaving = new AbortController()
      const wish = wished({ signal: leaving.signal })
      const grant = paperGrant(async () => expect.unreachable(), { interactive: true })
      const { login, asked } = person()
      const waiting = way === 'login' ? authorizeByLogin(context, login, wish) : loginByGrant(context, grant, wish)
      leaving.abort(new Error('gone'))
      await expect(waiting).rejects.toThrow('gone')
      free.resolve()
      await holder
      expect(asked).toEqual([])
    }
  })

  test('are told, with how they ended', async () => {
    const heard = events('mcpauth:login:started', 'mcpauth:login:finished', 'mcpauth:login:failed')
    const context = paperContext(clock)
    await authorizeByLogin(context, person().login, wished())
    await loginByGrant(
      paperContext(clock),
      paperGrant(async () => undefined),
      wished()
    )
    await expect(authorizeByLogin(paperContext(clock), person(() => Promise.reject(new Error('no'))).login, wished())).rejects.toThrow()
    expect(heard).toEqual([
      'mcpauth:login:started',
      'mcpauth:login:finished',
      'mcpauth:login:started',
      'mcpauth:login:finished',
      'mcpauth:login:started',
      'mcpauth:login:failed'
    ])
  })

  test('the record’s own lock is free while a person is asked', async () => {
    const context = paperContext(clock)
    const { login } = person(async (url) => {
      await context.settings.store.transact(paper.key, async () => undefined, { deadlineMs: 1 })
      return new URLSearchParams({ code: 'the-code', state: url.searchParams.get('state') as string })
    })
    expect(await authorizeByLogin(context, login, wished())).toMatchObject({ kind: 'granted' })
  })
})

describe('a registration that was kept', () => {
  const forgotten =
    (times: number): PaperAnswer =>
    ({ url, form }) =>
      url.endsWith('/token') && form.get('client_id') !== `client-${times}`
        ? Response.json({ error: 'invalid_client' }, { status: 400 })
        : undefined

  /** A client that was registered long ago. */
  async function registered(context: AuthorizationContext): Promise<void> {
    const client = {
      client_id: 'old',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1:9/callback'],
      issuer: paper.issuer
    }
    await context.settings.store.transact({ kind: 'client', issuer: paper.issuer }, (held) => held.write({ client }), limits)
  }

  test.each<[string, boolean, string]>([
    ['is used', false, 'old'],
    ['is not used where it is suspect', true, 'client-1']
  ])('%s, whichever way to a new grant is gone', async (_what, registerAnew, clientId) => {
    for (const authorize of [authorizeByLogin, authorizeByGrant, loginByGrant]) {
      const context = paperContext(clock)
      await registered(context)
      const way = authorize === authorizeByLogin ? person().login : paperGrant(async () => undefined, { grantType: 'authorization_code' })
      const { record } = await authorize(context, way as never, wished({ registerAnew }))
      expect(record.client).toMatchObject({ client_id: clientId })
    }
  })

  test('and that the server has forgotten is made anew once, and the person is asked again', async () => {
    const context = paperContext(clock, forgotten(1))
    await registered(context)
    const { login, asked } = person()
    expect(await authorizeByLogin(context, login, wished())).toMatchObject({ record: { client: { client_id: 'client-1' } } })
    expect(asked.map(({ searchParams }) => searchParams.get('client_id'))).toEqual(['old', 'client-1'])
  })

  test('and that the server has forgotten is not made anew for ever', async () => {
    const context = paperContext(clock, forgotten(9))
    await registered(context)
    const { login, asked } = person()
    await expect(authorizeByLogin(context, login, wished())).rejects.toMatchObject({ error: 'invalid_client' })
    expect(asked).toHaveLength(2)
  })

  test('and forgotten is another thing than a no of another kind, and than a new one that is not known', async () => {
    const other = paperContext(clock, ({ url }) =>
      url.endsWith('/token') ? Response.json({ error: 'invalid_grant' }, { status: 400 }) : undefined
    )
    await registered(other)
    const { login, asked } = person()
    await expect(authorizeByLogin(other, login, wished())).rejects.toMatchObject({ error: 'invalid_grant' })
    await expect(authorizeByLogin(paperContext(clock, forgotten(9)), login, wished())).rejects.toMatchObject({ error: 'invalid_client' })
    expect(asked).toHaveLength(2)
  })
})

describe('a grant without a person', () => {
  test('of another secret than the stored tokens is asked, and its tokens say whose they are', async () => {
    const context = paperContext(clock)
    const grant = paperGrant(async () => undefined, { seed: async () => 'today' })
    await put(context, { access_token: 'there', generation: 1, seed: 'yesterday' })
    expect(await authorizeByGrant(context, grant, wished())).toMatchObject({ kind: 'granted', record: { seed: 'today', generation: 2 } })
    expect(await authorizeByGrant(context, grant, wished())).toMatchObject({ kind: 'adopted' })
    expect(grant.times).toBe(1)
  })

  test('of several processes one asks', async () => {
    for (const seed of [undefined, async () => 'the same']) {
      const context = paperContext(clock)
      const grant = paperGrant(async () => undefined, seed ? { seed } : {})
      const outcomes = await Promise.all(Array.from({ length: 5 }, () => authorizeByGrant(context, grant, wished())))
      expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['adopted', 'adopted', 'adopted', 'adopted', 'granted'])
      expect(new Set(outcomes.map(({ record }) => record.access_token))).toEqual(new Set(['granted-1']))
      expect(grant.times).toBe(1)
    }
  })

  test('gets what takes long before it takes the lock', async () => {
    const context = paperContext(clock)
    const prepare = async (): Promise<void> => {
      await context.settings.store.transact(paper.key, async () => undefined, { deadlineMs: 1 })
    }
    expect(
      await authorizeByGrant(
        context,
        paperGrant(async () => undefined, { prepare }),
        wished()
      )
    ).toMatchObject({ kind: 'granted' })
  })

  test('that knows no secret takes the tokens there are, whosever secret they were got with', async () => {
    const context = paperContext(clock)
    await put(context, { access_token: 'there', generation: 1, seed: 'yesterday' })
    const grant = paperGrant(async () => expect.unreachable())
    expect(await authorizeByGrant(context, grant, wished())).toMatchObject({ kind: 'adopted', record: { access_token: 'there' } })
  })

  test('N39: goes without a client only where it needs none, and only where the server registers none', async () => {
    const optional = { clientOptional: true }
    const granted = async (properties: Partial<Grant>, metadata?: Record<string, unknown>): Promise<unknown> => {
      const grant = paperGrant(async () => undefined, properties)
      const { record } = await authorizeByGrant(paperContext(clock, undefined, metadata), grant, wished())
      return record.client?.client_id
    }
    const registersNobody = { registration_endpoint: undefined }
    await expect(granted({}, registersNobody)).rejects.toMatchObject({ code: 'MCPAUTH_REGISTRATION_FAILED' })
    expect(await granted(optional, registersNobody)).toBe('')
    expect(await granted(optional)).toBe('client-1')
  })
})

test('N27: each way to a new grant registers for the grants that it uses, and only a browser has a redirect URI', async () => {
  const registration = async (authorize: (context: AuthorizationContext) => Promise<unknown>): Promise<unknown> => {
    const context = paperContext(clock)
    await authorize(context)
    return (await context.settings.store.read({ kind: 'client', issuer: paper.issuer }))?.client
  }
  const grant = paperGrant(async () => undefined)
  expect(await registration((context) => authorizeByLogin(context, person().login, wished()))).toMatchObject({
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: ['http://127.0.0.1:9/callback']
  })
  expect(await registration((context) => authorizeByGrant(context, grant, wished()))).toMatchObject({
    grant_types: ['client_credentials'],
    redirect_uris: []
  })
  expect(await registration((context) => loginByGrant(context, grant, wished()))).toMatchObject({
    grant_types: ['client_credentials', 'refresh_token'],
    redirect_uris: []
  })
})

test.each<[string, 'passes' | 'is refused', OAuthOptions, Record<string, unknown>]>([
  ['that says S256 of PKCE', 'passes', {}, {}],
  ['that says nothing of PKCE', 'is refused', {}, { code_challenge_methods_supported: undefined }],
  ['that says nothing of PKCE, where the user knows better,', 'passes', careless, { code_challenge_methods_supported: undefined }],
  ['that says it has no PKCE, whatever the user says,', 'is refused', careless, { code_challenge_methods_supported: [] }]
])('N30: a login at a server %s %s', async (_name, outcome, options, metadata) => {
  const context = paperContext({ ...clock, ...options }, undefined, metadata)
  const { login, asked } = person()
  const code = await authorizeByLogin(context, login, wished()).then(
    () => undefined,
    (error: McpAuthError) => error.code
  )
  expect(code).toBe(outcome === 'passes' ? undefined : 'MCPAUTH_PKCE_UNSUPPORTED')
  expect([asked.length, context.asked.length > 0]).toEqual(outcome === 'passes' ? [1, true] : [0, false])
})

test('T8: every lock is waited for as long as its holder may need it, and not for ever', async () => {
  const needed: Record<string, number> = { login: 300_000 + 120_000, server: 120_000, client: 30_000 }
  for (const [, authorize] of ways) {
    const context = paperContext({ ...clock, loginTimeoutMs: 300_000 })
    const { transact } = context.settings.store
    const waits: [string, number][] = []
    context.settings.store.transact = (key, work, options) => {
      waits.push([key.kind, options.deadlineMs])
      return transact(key, work, options)
    }
    await authorize(context, wished())
    expect(waits.length).toBeGreaterThan(1)
    for (const [kind, deadlineMs] of waits) {
      expect(deadlineMs).toBeGreaterThanOrEqual(needed[kind] as number)
      expect(deadlineMs).toBeLessThan(600_000)
    }
  }
})

test('N29: a step-up asks for what was requested before and what is challenged now, and keeps both', async () => {
  const context = paperContext(clock)
  await put(context, { access_token: 'there', scope: 'a', requested_scope: 'a b', generation: 1 })
  const { login, asked } = person()
  const { record } = await authorizeByLogin(
    context,
    login,
    wished({ stale: { value: 'there' }, addedScope: 'c', challenges: [scopeChallenge('c')] })
  )
  expect(asked[0]?.searchParams.get('scope')).toBe('a b c')
  expect(record).toMatchObject({ requested_scope: 'a b c' })
})

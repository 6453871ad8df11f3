import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type AuthChallenge, McpAuthError, type TokenRecord } from '@mcpauth/core'
import { describe, expect, onTestFinished, test } from 'vitest'
import { authorizeByGrant, authorizeByLogin, loginByGrant } from '../src/authorization.ts'
import type { AuthorizationContext } from '../src/authorization-context.ts'
import type { AuthorizationWish } from '../src/authorization-request.ts'
import type { Login } from '../src/login.ts'
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
  ])('asks nobody %s', async (_name, record, wish) => {
    const context = paperContext(clock)
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

describe('a registration that the server has forgotten', () => {
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

  test('is made anew once, and the person is asked again', async () => {
    const context = paperContext(clock, forgotten(1))
    await registered(context)
    const { login, asked } = person()
    expect(await authorizeByLogin(context, login, wished())).toMatchObject({ record: { client: { client_id: 'client-1' } } })
    expect(asked.map(({ searchParams }) => searchParams.get('client_id'))).toEqual(['old', 'client-1'])
  })

  test('is not made anew for ever', async () => {
    const context = paperContext(clock, forgotten(9))
    await registered(context)
    const { login, asked } = person()
    await expect(authorizeByLogin(context, login, wished())).rejects.toMatchObject({ error: 'invalid_client' })
    expect(asked).toHaveLength(2)
  })

  test('is another thing than a no of another kind, and than a new one that is not known', async () => {
    const other = paperContext(clock, ({ url }) =>
      url.endsWith('/token') ? Response.json({ error: 'invalid_grant' }, { status: 400 }) : undefined
    )
    await registered(other)
    const { login, asked } = person()
    await expect(authorizeByLogin(other, login, wished())).rejects.toMatchObject({ error: 'invalid_grant' })
    await expect(authorizeByLogin(paperContext(clock, forgotten(9)), login, wished())).rejects.toMatchObject({ error: 'invalid_client' })
    expect(asked).toHaveLength(2)
  })

  test('is not used at all where it is suspect', async () => {
    for (const authorize of [authorizeByLogin, authorizeByGrant, loginByGrant]) {
      const context = paperContext(clock)
      await registered(context)
      const way = authorize === authorizeByLogin ? person().login : paperGrant(async () => undefined, { grantType: 'authorization_code' })
      const { record } = await authorize(context, way as never, wished({ registerAnew: true }))
      expect(record.client).toMatchObject({ client_id: 'client-1' })
    }
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
      expect(outcomes.filter(({ kind }) => kind === 'granted')).toHaveLength(1)
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

  test('registers for itself alone', async () => {
    const context = paperContext(clock)
    await authorizeByGrant(
      context,
      paperGrant(async () => undefined),
      wished()
    )
    const kept = await context.settings.store.read({ kind: 'client', issuer: paper.issuer })
    expect(kept?.client).toMatchObject({ grant_types: ['client_credentials'], redirect_uris: [] })
    const device = paperContext(clock)
    await loginByGrant(
      device,
      paperGrant(async () => undefined, { grantType: 'device' }),
      wished()
    )
    const keptForDevice = await device.settings.store.read({ kind: 'client', issuer: paper.issuer })
    expect(keptForDevice?.client).toMatchObject({ grant_types: ['device', 'refresh_token'] })
  })
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

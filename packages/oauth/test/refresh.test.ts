import type { TokenStore } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'
import { expect, test } from 'vitest'
import { oauthTokens } from '../src/index.ts'
import { keyOf, type Override, type Scene, scene } from './small-servers.ts'

/** Logged in, and the access token is no longer good. */
async function expired(options = {}): Promise<Scene & { tokens: ReturnType<Scene['tokensWith']> }> {
  const world = await scene()
  const tokens = world.tokensWith(options)
  await tokens.login()
  world.as.live.clear()
  world.login.asked.length = 0
  return Object.assign(world, { tokens })
}

const onRefresh =
  (answer: Override): Override =>
  (seen) =>
    seen.form.get('grant_type') === 'refresh_token' ? answer(seen) : undefined

const stored = (world: Scene) => world.store.read(keyOf(world.mcp))

test('a refresh grows the generation by one and keeps whose the tokens are', async () => {
  await using world = await expired()
  const before = await stored(world)
  expect(await world.post(world.fetchWith(world.tokens))).toBe(200)
  const after = await stored(world)
  expect(after).toMatchObject({
    generation: (before?.generation ?? 0) + 1,
    issuer: before?.issuer,
    client: before?.client,
    resource: before?.resource
  })
  expect(after?.refresh_token).not.toBe(before?.refresh_token)
})

test('T7: a late 401 for a token that has been replaced asks nobody', async () => {
  await using world = await expired()
  const late = Promise.withResolvers<void>()
  let first = true
  world.mcp.overrides.set('/mcp', async ({ headers }) => {
    if (!first) return undefined
    first = false
    await late.promise
    return headers.authorization ? { status: 401 } : undefined
  })
  const fetch = world.fetchWith(world.tokens)
  const slow = world.post(fetch)
  while (first) await new Promise(setImmediate)
  expect(await world.post(fetch)).toBe(200)
  late.resolve()
  expect(await slow).toBe(200)
  expect(world.as.refreshes).toBe(1)
})

test('N27: an answer without a refresh token keeps the one there is, and one without a scope the scope', async () => {
  await using world = await expired({ scope: 'read' })
  const before = await stored(world)
  world.as.overrides.set(
    '/token',
    onRefresh(() => {
      world.as.live.add('a-new-access-token')
      return { body: { access_token: 'a-new-access-token', token_type: 'bearer' } }
    })
  )
  expect(await world.post(world.fetchWith(world.tokens))).toBe(200)
  expect(await stored(world)).toMatchObject({ refresh_token: before?.refresh_token, scope: 'read' })
})

test('a narrower scope in the answer is kept, and what was requested is not forgotten', async () => {
  await using world = await expired({ scope: 'read write' })
  world.as.tokenFields = { scope: 'read' }
  await world.post(world.fetchWith(world.tokens))
  expect(await stored(world)).toMatchObject({ scope: 'read', requested_scope: 'read write' })
})

test.each([
  ['without token_type', { token_type: undefined }],
  ['with refresh_token null', { refresh_token: null }],
  ['with an empty refresh_token', { refresh_token: '' }],
  ['with the scope as an array', { scope: ['read', 'write'] }],
  ['with an id_token that nobody asked for', { id_token: 'not.a.jwt' }],
  ['with a scope that is no text', { scope: 7 }]
])('an answer %s does not lose the grant', async (_name, fields) => {
  await using world = await expired()
  world.as.tokenFields = fields
  expect(await world.post(world.fetchWith(world.tokens))).toBe(200)
  expect(world.login.asked).toHaveLength(0)
})

const tenYears = 10 * 365 * 24 * 3600

test.each<[string, unknown, number | undefined]>([
  ['is missing', undefined, undefined],
  ['is null', null, undefined],
  ['is 0', 0, undefined],
  ['is negative', -1, undefined],
  ['is an object', {}, undefined],
  ['is no number', 'soon', undefined],
  ['is empty', '', undefined],
  ['is a string', '600', 600],
  ['has a fraction', 600.9, 600],
  ['is huge', 1e300, tenYears],
  ['is a huge string', '1e300', tenYears],
  ['is infinite', '1e999', tenYears]
])(
  'where expires_in %s, a login and a refresh give a token that is used, and no other until the server refuses it',
  async (_name, expires_in, seconds) => {
    const start = 1_700_000_000
    await using world = await scene()
    world.as.tokenFields = { expires_in }
    const tokens = world.tokensWith({ now: () => start * 1000 })
    const fetch = world.fetchWith(tokens)
    for (const asked of ['login', 'refresh'] as const) {
      for (let request = 0; request < 3; request += 1) expect(await world.post(fetch)).toBe(200)
      expect((await stored(world))?.expires_at_unix).toBe(seconds === undefined ? undefined : start + seconds)
      expect({ logins: world.login.asked.length, refreshes: world.as.refreshes }).toEqual({
        logins: 1,
        refreshes: asked === 'login' ? 0 : 1
      })
      world.as.live.clear()
    }
  }
)

test('rule 6: invalid_grant clears this generation and leads to one login', async () => {
  await using world = await expired()
  world.as.overrides.set(
    '/token',
    onRefresh(() => ({ status: 400, body: { error: 'invalid_grant' } }))
  )
  const before = (await stored(world))?.generation as number
  expect(await world.post(world.fetchWith(world.tokens))).toBe(200)
  expect(world.login.asked).toHaveLength(1)
  expect((await stored(world))?.generation).toBeGreaterThan(before)
})

test('T18: invalid_grant for a token that somebody has replaced meanwhile takes theirs', async () => {
  await using world = await expired()
  let other: string | undefined
  // A holder whose lock was lost: somebody else writes while the request is under way.
  const store: TokenStore = {
    ...world.store,
    transact: (key, work, options) =>
      world.store.transact(
        key,
        (held) =>
          work({
            ...held,
            read: async () => {
              const record = await held.read()
              return other === undefined || !record ? record : { ...record, access_token: other, refresh_token: 'theirs', generation: 99 }
            }
          }),
        options
      )
  }
  world.as.overrides.set(
    '/token',
    onRefresh(() => {
      other = 'the-token-of-another-process'
      world.as.live.add(other)
      return { status: 400, body: { error: 'invalid_grant' } }
    })
  )
  const tokens = oauthTokens(world.mcp.url, { store })
  expect(await world.post(world.fetchWith(tokens))).toBe(200)
  expect((await stored(world))?.refresh_token).toBeDefined()
})

test.each<[string, Override]>([
  ['503', () => ({ status: 503, body: { error: 'server_error' } })],
  ['429', () => ({ status: 429, body: { error: 'invalid_grant' } })],
  ['500 with invalid_grant in it', () => ({ status: 500, body: { error: 'invalid_grant' } })],
  ['HTML', () => ({ status: 400, body: '<h1>Bad gateway</h1>' })],
  ['200 with HTML', () => ({ status: 200, body: '<h1>Welcome</h1>' })],
  ['200 with nothing', () => ({ status: 200, body: '' })],
  ['200 with an array', () => ({ status: 200, body: [] })],
  ['200 with a token of control characters', () => ({ status: 200, body: { access_token: 'a\r\nX: y' } })],
  ['a dropped connection', () => 'drop']
])('T9: %s deletes nothing, asks no person, and is a typed error', async (_name, answer) => {
  await using world = await expired()
  const before = await stored(world)
  world.as.overrides.set('/token', onRefresh(answer))
  await expect(world.post(world.fetchWith(world.tokens))).rejects.toMatchObject({
    code: expect.stringMatching(/^MCPAUTH_(OAUTH_RESPONSE|NETWORK)$/)
  })
  expect(await stored(world)).toEqual(before)
  expect(world.login.asked).toHaveLength(0)
  world.as.overrides.delete('/token')
  expect(await world.post(world.fetchWith(world.tokens))).toBe(200)
})

test('T9: an answer of more than 1 MiB is cut off', async () => {
  await using world = await expired()
  world.as.overrides.set(
    '/token',
    onRefresh(() => ({ status: 200, body: 'x'.repeat(1024 * 1024 + 1) }))
  )
  await expect(world.post(world.fetchWith(world.tokens))).rejects.toThrow(/larger than 1 MiB/)
})

test('T9: 200 with an OAuth error in it is that error', async () => {
  await using world = await expired()
  world.as.overrides.set(
    '/token',
    onRefresh(() => ({ status: 200, body: { error: 'invalid_grant', access_token: 'x' } }))
  )
  expect(await world.post(world.fetchWith(world.tokens))).toBe(200)
  // The token in it was never sent.
  expect(world.mcp.at('/mcp').some(({ headers }) => headers.authorization === 'Bearer x')).toBe(false)
  expect(world.login.asked).toHaveLength(1)
})

test('T9: Retry-After is honoured: until then nobody asks again', async () => {
  let clock = Date.now()
  await using world = await expired({ now: () => clock })
  world.as.overrides.set(
    '/token',
    onRefresh(() => ({ status: 503, headers: { 'retry-after': '30' }, body: {} }))
  )
  const fetch = world.fetchWith(world.tokens)
  const asked = () => world.as.at('/token').filter(({ form }) => form.get('grant_type') === 'refresh_token').length
  for (let request = 0; request < 3; request += 1) await expect(world.post(fetch)).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE' })
  expect(asked()).toBe(1)
  clock += 31_000
  await expect(world.post(fetch)).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE' })
  expect(asked()).toBe(2)
})

test('rule 7: a connection that drops after the request was sent is tried once more with the same token', async () => {
  await using world = await expired()
  let drops = 0
  const sent: string[] = []
  world.as.overrides.set(
    '/token',
    onRefresh(({ form }) => {
      sent.push(form.get('refresh_token') as string)
      drops += 1
      return drops === 1 ? 'drop' : undefined
    })
  )
  expect(await world.post(world.fetchWith(world.tokens))).toBe(200)
  expect(sent).toHaveLength(2)
  expect(new Set(sent).size).toBe(1)
})

test.each(['invalid_request', 'unauthorized_client', 'access_denied', 'something_own'])(
  'a dead refresh token that is answered with %s leads to a login, and the token is not sent for ever',
  async (error) => {
    await using world = await expired()
    world.as.overrides.set(
      '/token',
      onRefresh(() => ({ status: 400, body: { error } }))
    )
    const { login: _login, ...withoutLogin } = { login: undefined }
    const tokens = oauthTokens(world.mcp.url, { store: world.store, ...withoutLogin })
    const fetch = world.fetchWith(tokens)
    for (let request = 0; request < 6; request += 1)
      await expect(world.post(fetch)).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
    expect(world.as.at('/token').filter(({ form }) => form.get('grant_type') === 'refresh_token')).toHaveLength(2)
    expect(await world.post(world.fetchWith(world.tokens))).toBe(200)
  }
)

test('a login that is required says why the stored tokens were of no use', async () => {
  await using world = await expired()
  world.as.overrides.set(
    '/token',
    onRefresh(() => ({ status: 400, body: { error: 'invalid_grant', error_description: 'the grant was revoked' } }))
  )
  await expect(world.post(world.fetchWith(oauthTokens(world.mcp.url, { store: world.store })))).rejects.toMatchObject({
    code: 'MCPAUTH_LOGIN_REQUIRED',
    message: expect.stringContaining('the grant was revoked'),
    cause: expect.objectContaining({ error: 'invalid_grant' })
  })
})

test('a dead refresh token that is answered with a bare 401 leads to a login too', async () => {
  await using world = await expired()
  world.as.overrides.set(
    '/token',
    onRefresh(() => ({ status: 401, headers: { 'www-authenticate': 'Bearer' } }))
  )
  expect(await world.post(world.fetchWith(world.tokens))).toBe(200)
  expect(world.login.asked).toHaveLength(1)
})

test('a server that keeps refusing refreshed tokens ends in a login and then in an error, not in a loop', async () => {
  await using world = await expired()
  world.mcp.overrides.set('/mcp', () => ({ status: 401 }))
  await expect(world.post(world.fetchWith(world.tokens))).rejects.toMatchObject({ code: 'MCPAUTH_TOKEN_REFUSED' })
  expect({ refreshes: world.as.refreshes, logins: world.login.asked.length }).toEqual({ refreshes: 1, logins: 1 })
})

test('the scope goes with a refresh only where the option says so, and then what was requested', async () => {
  for (const [scopeOnRefresh, expected] of [
    ['omit', null],
    ['requested', 'read']
  ] as const) {
    await using world = await expired({ scope: 'read', scopeOnRefresh })
    await world.post(world.fetchWith(world.tokens))
    expect(world.as.at('/token')[1]?.form.get('scope')).toBe(expected)
  }
})

test('a refresh that has been sent is not cancelled when everyone who waited for it has gone, and its token is kept', async () => {
  await using world = await expired()
  const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  world.as.overrides.set('/token', async () => {
    asked.resolve()
    await answer.promise
    return undefined
  })
  const fetch = world.fetchWith(world.tokens)
  const giveUp = new AbortController()
  const call = fetch(world.mcp.url, { method: 'POST', body: '{}', signal: giveUp.signal })
  await asked.promise
  giveUp.abort()
  await expect(call).rejects.toMatchObject({ name: 'AbortError' })
  answer.resolve()
  await expect.poll(async () => (await stored(world))?.generation).toBe(2)
  expect(await world.post(fetch)).toBe(200)
  expect({ refreshes: world.as.refreshes, reused: world.as.reused }).toEqual({ refreshes: 1, reused: 0 })
})

test.each([
  ['wants the scope at a refresh', 'requested', (scope: string | null) => scope === 'read write'],
  ['refuses any scope at a refresh', 'omit', (scope: string | null) => scope === null]
] as const)('a server that %s is served by the option %j, also after it has granted less', async (_name, scopeOnRefresh, isRight) => {
  await using world = await expired({ scope: 'read write', scopeOnRefresh })
  world.as.overrides.set(
    '/token',
    onRefresh(({ form }) => (isRight(form.get('scope')) ? undefined : { status: 400, body: { error: 'invalid_scope' } }))
  )
  world.as.tokenFields = { scope: 'read' }
  const fetch = world.fetchWith(world.tokens)
  for (let refresh = 1; refresh <= 3; refresh += 1) {
    expect(await world.post(fetch)).toBe(200)
    world.as.live.clear()
  }
  expect({ refreshes: world.as.refreshes, logins: world.login.asked.length }).toEqual({ refreshes: 3, logins: 0 })
  expect(await stored(world)).toMatchObject({ scope: 'read', requested_scope: 'read write' })
})

test('a record written elsewhere, with only its six fields, refreshes with the user’s endpoint and client', async () => {
  await using world = await scene()
  await world.tokensWith({ client: { clientId: 'mine' } }).login()
  const full = await stored(world)
  const store = memoryStore()
  await store.transact(
    keyOf(world.mcp),
    (held) =>
      held.write({
        access_token: 'old-access-token',
        refresh_token: full?.refresh_token as string,
        token_type: 'Bearer',
        expires_at_unix: 1
      }),
    { deadlineMs: 1000 }
  )
  const tokens = oauthTokens(world.mcp.url, { store, client: { clientId: 'mine' }, tokenUrl: `${world.as.origin}/token` })
  expect(await world.post(world.fetchWith(tokens))).toBe(200)
  expect(world.as.refreshes).toBe(1)
})

test.each([
  ['refused', {}],
  ['over', { expires_at_unix: 1 }]
])('T2: a record without endpoints whose token is %s never goes to another origin that only the metadata names', async (_name, more) => {
  await using world = await scene()
  const store = memoryStore()
  await store.transact(
    keyOf(world.mcp),
    (held) => held.write({ access_token: 'old', refresh_token: 'the-refresh-token-of-elsewhere', ...more }),
    {
      deadlineMs: 1000
    }
  )
  const tokens = oauthTokens(world.mcp.url, { store, client: { clientId: 'mine' } })
  await expect(world.post(world.fetchWith(tokens))).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
  expect(JSON.stringify(world.as.seen)).not.toContain('the-refresh-token-of-elsewhere')
})

test.each([1, undefined])(
  'T12: a token endpoint that a cache file names without an issuer receives nothing (expiry %s)',
  async (expires_at_unix) => {
    await using evil = await scene()
    await using world = await scene()
    const store = memoryStore()
    const record = {
      access_token: 'old-access-token',
      refresh_token: 'the-refresh-token-of-the-file',
      token_endpoint: `${evil.as.origin}/token`,
      client: { client_id: 'c' },
      ...(expires_at_unix === undefined ? {} : { expires_at_unix })
    }
    await store.transact(keyOf(world.mcp), (held) => held.write(record), { deadlineMs: 1000 })
    await expect(world.post(world.fetchWith(oauthTokens(world.mcp.url, { store })))).rejects.toMatchObject({
      code: 'MCPAUTH_LOGIN_REQUIRED'
    })
    expect(evil.as.seen).toHaveLength(0)
  }
)

test('T2: a token URL given by hand that is not the record’s never receives its refresh token', async () => {
  await using other = await scene()
  await using world = await expired()
  const record = await stored(world)
  const tokens = oauthTokens(world.mcp.url, { store: world.store, tokenUrl: `${other.as.origin}/token` })
  await expect(world.post(world.fetchWith(tokens))).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
  expect(other.as.seen).toHaveLength(0)
  expect(await stored(world)).toEqual(record)
})

test('T2: the refresh token of one client is never sent for another', async () => {
  await using world = await expired()
  const tokens = oauthTokens(world.mcp.url, {
    store: world.store,
    client: { clientId: 'another', clientSecret: () => 'the-secret-of-another' }
  })
  await expect(world.post(world.fetchWith(tokens))).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
  expect(world.as.at('/token')).toHaveLength(1)
})

test('rule 5: a refreshed token that cannot be written is used all the same, and its refresh token is the next one sent', async () => {
  await using world = await expired()
  let broken = true
  const store: TokenStore = {
    ...world.store,
    transact: (key, work, options) =>
      world.store.transact(
        key,
        (held) =>
          work({
            ...held,
            read: () => held.read(),
            write: (record) => (broken && key.kind === 'server' ? Promise.reject(new Error('disk full')) : held.write(record))
          }),
        options
      )
  }
  const tokens = oauthTokens(world.mcp.url, { store })
  const fetch = world.fetchWith(tokens)
  expect(await world.post(fetch)).toBe(200)
  world.as.live.clear()
  broken = false
  expect(await world.post(fetch)).toBe(200)
  expect({ refreshes: world.as.refreshes, reused: world.as.reused }).toEqual({ refreshes: 2, reused: 0 })
  expect((await stored(world))?.generation).toBe(3)
})

test('rule 2: two sources on one store refresh once; the second takes what the first wrote', async () => {
  await using world = await expired()
  const [one, two] = [
    world.fetchWith(oauthTokens(world.mcp.url, { store: world.store })),
    world.fetchWith(oauthTokens(world.mcp.url, { store: world.store }))
  ]
  expect(await Promise.all([world.post(one), world.post(two), world.post(one), world.post(two)])).toEqual([200, 200, 200, 200])
  expect({ refreshes: world.as.refreshes, reused: world.as.reused }).toEqual({ refreshes: 1, reused: 0 })
})

test('the resource’s metadata is read again on a 401, before anything goes to the authorization server', async () => {
  await using world = await expired()
  world.mcp.seen.length = 0
  await world.post(world.fetchWith(world.tokens))
  expect(world.mcp.seen.map(({ path }) => path)).toEqual(['/mcp', '/.well-known/oauth-protected-resource/mcp', '/mcp'])
})

test('metadata that cannot be read just then stops the refresh, and nothing is lost', async () => {
  await using world = await expired()
  const before = await stored(world)
  world.mcp.overrides.set('/.well-known/oauth-protected-resource/mcp', () => ({ status: 503 }))
  await expect(world.post(world.fetchWith(world.tokens))).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE', status: 503 })
  expect(world.as.refreshes).toBe(0)
  expect(await stored(world)).toEqual(before)
})

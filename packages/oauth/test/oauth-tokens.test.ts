import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { McpAuthError, type TokenStore } from '@mcpauth/core'
import { expect, test } from 'vitest'
import type { Login } from '../src/login.ts'
import { fullStore } from './full-store.ts'
import { keyOf, scene } from './small-servers.ts'

/** A store that counts. */
function counting(store: TokenStore): TokenStore & { reads: number; locks: number } {
  const counted = Object.assign({ reads: 0, locks: 0 }, store)
  counted.read = (key) => {
    counted.reads += 1
    return store.read(key)
  }
  counted.transact = (key, work, options) => {
    counted.locks += 1
    return store.transact(key, work, options)
  }
  return counted
}

test('current() is synchronous while the token is fresh, and reads the store once', async () => {
  await using world = await scene()
  await world.tokensWith().login()
  const store = counting(world.store)
  const tokens = world.tokensWith({ store })
  const first = tokens.current()
  expect(first).toBeInstanceOf(Promise)
  expect(await first).toMatchObject({ scheme: 'Bearer', origin: 'stored', generation: 1 })
  for (let request = 0; request < 100; request += 1) expect(tokens.current()).not.toBeInstanceOf(Promise)
  expect(store).toMatchObject({ reads: 1, locks: 0 })
})

test('current() without a token is undefined, and then synchronously so', async () => {
  await using world = await scene()
  const tokens = world.tokensWith()
  expect(await tokens.current()).toBeUndefined()
  expect(tokens.current()).toBeUndefined()
})

test('ahead of its end a token is renewed once in the background, while it is still used', async () => {
  let clock = Date.now()
  await using world = await scene()
  const tokens = world.tokensWith({ now: () => clock })
  await tokens.login()
  const fetch = world.fetchWith(tokens)
  clock += (600 - 61) * 1000
  await world.post(fetch)
  expect(world.as.refreshes).toBe(0)
  clock += 2_000
  world.mcp.seen.length = 0
  const before = tokens.current()
  await Promise.all(Array.from({ length: 20 }, () => world.post(fetch)))
  while (tokens.current() === before) await new Promise(setImmediate)
  expect(world.as.refreshes).toBe(1)
  // Without discovery: nothing but the requests themselves.
  expect(new Set(world.mcp.seen.map(({ path }) => path))).toEqual(new Set(['/mcp']))
  expect(tokens.current()).toMatchObject({ generation: 2, origin: 'refreshed' })
})

test('a short-lived token is renewed a fifth of its life ahead, not all the time', async () => {
  let clock = Date.now()
  await using world = await scene()
  world.as.tokenFields = { expires_in: 10 }
  const store = counting(world.store)
  const tokens = world.tokensWith({ now: () => clock, store })
  await tokens.login()
  const first = tokens.current()
  const { locks } = store
  // The end is kept in whole seconds.
  clock += 6_900
  expect(tokens.current()).toBe(first)
  await new Promise(setImmediate)
  expect(store.locks).toBe(locks)
  clock += 2_000
  expect(tokens.current()).toBe(first)
  await new Promise(setImmediate)
  expect(store.locks).toBe(locks + 1)
})

test('a background refresh that fails is not repeated with every request', async () => {
  let clock = Date.now()
  await using world = await scene()
  const store = counting(world.store)
  const tokens = world.tokensWith({ now: () => clock, store })
  await tokens.login()
  let attempts = 0
  const attempted = Promise.withResolvers<void>()
  world.as.overrides.set('/token', () => {
    attempts += 1
    attempted.resolve()
    return { status: 500 }
  })
  clock += 590_000
  const failed = new Promise((resolve) => {
    const listener = (): void => {
      unsubscribe('mcpauth:request:refused', listener)
      resolve(undefined)
    }
    subscribe('mcpauth:request:refused', listener)
  })
  for (let request = 0; request < 50; request += 1) expect(await tokens.current()).toBeDefined()
  await attempted.promise
  await failed
  const { locks } = store
  for (let request = 0; request < 50; request += 1) expect(tokens.current()).toBeDefined()
  await new Promise(setImmediate)
  expect(store.locks).toBe(locks)
  expect(attempts).toBe(1)
})

test('an expired token is renewed before the request is sent', async () => {
  let clock = Date.now()
  await using world = await scene()
  const tokens = world.tokensWith({ now: () => clock })
  await tokens.login()
  clock += 3_600_000
  world.mcp.seen.length = 0
  expect(await world.post(world.fetchWith(tokens))).toBe(200)
  expect(world.mcp.at('/mcp')).toHaveLength(1)
  expect(world.as.refreshes).toBe(1)
})

test.each([-86_400_000, -3_600_000, 3_600_000, 86_400_000])(
  'T17: the clock jumps by %d ms: one refresh at most, and no login',
  async (jump) => {
    let clock = Date.now()
    await using world = await scene()
    const tokens = world.tokensWith({ now: () => clock })
    await tokens.login()
    const fetch = world.fetchWith(tokens)
    clock += jump
    expect(await Promise.all(Array.from({ length: 10 }, () => world.post(fetch)))).toEqual(Array(10).fill(200))
    clock -= jump
    expect(await world.post(fetch)).toBe(200)
    expect(world.as.refreshes).toBeLessThanOrEqual(1)
    expect(world.as.reused).toBe(0)
    expect(world.login.asked).toHaveLength(1)
  }
)

/** A person who takes until the test says so. */
function slow(login: Login): { login: Login; asked: Promise<void>; approve: () => void } {
  const asked = Promise.withResolvers<void>()
  const approved = Promise.withResolvers<void>()
  return {
    asked: asked.promise,
    approve: approved.resolve,
    login: async () => {
      const open = await login()
      return {
        ...open,
        ask: async (url, state, signal) => {
          asked.resolve()
          await approved.promise
          return await open.ask(url, state, signal)
        }
      }
    }
  }
}

test('forty requests wait for one login; one of them goes away, and the others do not notice', async () => {
  await using world = await scene()
  const person = slow(world.login)
  const fetch = world.fetchWith({ login: person.login })
  const leaving = new AbortController()
  const gone = fetch(world.mcp.url, { method: 'POST', body: '{}', signal: leaving.signal }).catch((error: Error) => error.name)
  const others = Array.from({ length: 39 }, () => world.post(fetch))
  await person.asked
  leaving.abort()
  expect(await gone).toBe('AbortError')
  person.approve()
  expect(await Promise.all(others)).toEqual(Array(39).fill(200))
  expect(world.login.asked).toHaveLength(1)
  // The one that went away is never sent later.
  expect(world.mcp.at('/mcp').filter(({ headers }) => headers.authorization)).toHaveLength(39)
})

test('a request that has waited long enough for a person fails and is never sent; the login goes on', async () => {
  await using world = await scene()
  const person = slow(world.login)
  const tokens = world.tokensWith({ login: person.login, loginWaitMs: 20 })
  const fetch = world.fetchWith(tokens)
  await expect(world.post(fetch)).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_PENDING' })
  const sent = world.mcp.at('/mcp').length
  person.approve()
  while (!(await tokens.status()).loggedIn) await new Promise(setImmediate)
  expect(world.mcp.at('/mcp')).toHaveLength(sent)
  expect(await world.post(fetch)).toBe(200)
})

test('T19: after a no, the requests that follow do not open another tab', async () => {
  await using world = await scene((answer) => {
    answer.delete('code')
    answer.set('error', 'access_denied')
  })
  const fetch = world.fetchWith()
  for (let request = 0; request < 5; request += 1) await expect(world.post(fetch)).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  expect(world.login.asked).toHaveLength(1)
})

test('T19: of several processes that wait for one login, none asks again when it fails', async () => {
  await using world = await scene((answer) => {
    answer.delete('code')
    answer.set('error', 'access_denied')
  })
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => world.tokensWith().login()))
  expect(outcomes.map(({ status }) => status)).toEqual(Array(5).fill('rejected'))
  expect(world.login.asked).toHaveLength(1)
  // A person who asks again is asked again.
  await expect(world.tokensWith().login()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  expect(world.login.asked).toHaveLength(2)
})

test('a server that could not answer for a moment is asked again at once, because nobody was asked', async () => {
  await using world = await scene()
  let broken = true
  world.as.overrides.set('/register', () => (broken ? { status: 503 } : undefined))
  const fetch = world.fetchWith()
  await expect(world.post(fetch)).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE' })
  broken = false
  expect(await world.post(fetch)).toBe(200)
})

test('a legacy server that knows only GET is seen to refuse', async () => {
  await using world = await scene()
  world.mcp.overrides.set('/mcp', ({ method }) => (method === 'POST' ? { status: 405 } : undefined))
  world.mcp.challenge += ', scope="from-the-challenge"'
  expect(await world.tokensWith().login()).toMatchObject({ scope: 'from-the-challenge' })
})

test('two logins at once on one store: one person is asked, both get the token', async () => {
  await using world = await scene()
  const [one, two] = [world.tokensWith(), world.tokensWith()]
  const statuses = await Promise.all([one.login(), two.login()])
  expect(statuses.map(({ loggedIn }) => loggedIn)).toEqual([true, true])
  expect(world.login.asked).toHaveLength(1)
})

test('login() without a strategy is an error that says what to run', async () => {
  await using world = await scene()
  const { oauthTokens } = await import('../src/index.ts')
  await expect(oauthTokens(world.mcp.url, { store: world.store }).login()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
  expect(world.mcp.seen).toHaveLength(0)
})

test('a login that does not heed its time limit is ended all the same, and the next one is not in its way', async () => {
  await using world = await scene()
  const login: Login = async () => ({ redirectUri: 'http://127.0.0.1:9/callback', ask: () => new Promise(() => undefined) })
  await expect(world.tokensWith({ login, loginTimeoutMs: 1_000 }).login()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  expect(await world.tokensWith().login()).toMatchObject({ loggedIn: true })
})

test('a login has a time limit', async () => {
  await using world = await scene()
  const login: Login = async () => ({
    redirectUri: 'http://127.0.0.1:9/callback',
    ask: (_url, _state, signal) => new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
  })
  await expect(world.tokensWith({ login, loginTimeoutMs: 1_000 }).login()).rejects.toMatchObject({
    code: 'MCPAUTH_LOGIN_FAILED',
    hint: expect.stringContaining('--new-registration')
  })
})

test('N41: logout revokes the refresh token, then the access token, and forgets them', async () => {
  await using world = await scene()
  world.as.metadata.revocation_endpoint = `${world.as.origin}/revoke`
  const tokens = world.tokensWith()
  await tokens.login()
  const record = await world.store.read(keyOf(world.mcp))
  await tokens.logout()
  expect(world.as.at('/revoke').map(({ form }) => form.get('token'))).toEqual([record?.refresh_token, record?.access_token])
  expect(await tokens.status()).toMatchObject({ loggedIn: false, canRefresh: false })
  expect(tokens.current()).toBeUndefined()
})

test('N41: logout works also while the authorization server is away', async () => {
  await using world = await scene()
  const tokens = world.tokensWith()
  await tokens.login()
  world.as.overrides.set('/.well-known/oauth-authorization-server', () => 'drop')
  await tokens.logout()
  expect((await tokens.status()).loggedIn).toBe(false)
})

test('T18: a logout that races a refresh ends logged out, and no token is left', async () => {
  await using world = await scene()
  const tokens = world.tokensWith()
  await tokens.login()
  world.as.live.clear()
  const { oauthTokens } = await import('../src/index.ts')
  const other = world.fetchWith(oauthTokens(world.mcp.url, { store: world.store }))
  await Promise.allSettled([world.post(other), tokens.logout()])
  const record = await world.store.read(keyOf(world.mcp))
  expect(record?.access_token).toBeUndefined()
  expect(record?.refresh_token).toBeUndefined()
})

test('status says everything but a secret', async () => {
  await using world = await scene()
  world.mcp.challenge += ', scope="read"'
  const status = await world.tokensWith().login()
  const record = await world.store.read(keyOf(world.mcp))
  expect(status).toMatchObject({
    server: world.mcp.url,
    loggedIn: true,
    issuer: world.as.origin,
    scope: 'read',
    canRefresh: true,
    generation: 1
  })
  expect(status.expiresAt).toBeInstanceOf(Date)
  for (const secret of [record?.access_token, record?.refresh_token]) expect(JSON.stringify(status)).not.toContain(secret)
})

test('T13: no event holds a secret', async () => {
  await using world = await scene()
  const heard: string[] = []
  const listener = (message: unknown): void => void heard.push(JSON.stringify(message))
  const names = ['mcpauth:login:started', 'mcpauth:login:finished', 'mcpauth:token:refreshed', 'mcpauth:client:registered']
  for (const name of names) subscribe(name, listener)
  const tokens = world.tokensWith()
  await tokens.login()
  world.as.live.clear()
  await world.post(world.fetchWith(tokens))
  for (const name of names) unsubscribe(name, listener)
  const record = await world.store.read(keyOf(world.mcp))
  expect(heard.length).toBeGreaterThanOrEqual(4)
  for (const secret of [record?.access_token, record?.refresh_token]) expect(heard.join()).not.toContain(secret)
})

test('N25, N26: the token goes in the Authorization header of requests to its server, and of no others', async () => {
  await using other = await scene()
  await using world = await scene()
  const tokens = world.tokensWith()
  await tokens.login()
  const fetch = world.fetchWith(tokens)
  await world.post(fetch)
  await fetch(other.mcp.url, { method: 'POST', body: '{}' })
  await fetch(`${world.mcp.origin}/mcp-evil`)
  expect(world.mcp.at('/mcp').at(-1)?.headers.authorization).toMatch(/^Bearer access-/)
  expect(world.mcp.seen.every(({ url }) => !url.search.includes('access-'))).toBe(true)
  expect(other.mcp.seen.concat(world.mcp.at('/mcp-evil')).some(({ headers }) => headers.authorization !== undefined)).toBe(false)
})

test('profiles keep two identities at one server apart', async () => {
  await using world = await scene()
  const [work, home] = [world.tokensWith({ profile: 'work' }), world.tokensWith({ profile: 'home' })]
  await work.login()
  expect((await work.status()).loggedIn).toBe(true)
  expect((await home.status()).loggedIn).toBe(false)
})

test('keepFresh renews without any request, until it is disposed of', async () => {
  let clock = Date.now()
  await using world = await scene()
  const tokens = world.tokensWith({ now: () => clock })
  await tokens.login()
  const before = tokens.current()
  clock += 590_000
  const keeping = tokens.keepFresh()
  while (tokens.current() === before) await new Promise(setImmediate)
  expect(world.as.refreshes).toBe(1)
  keeping[Symbol.dispose]()
})

test('the tokens of one server are not taken for another', async () => {
  await using world = await scene()
  const { withOAuth } = await import('../src/index.ts')
  expect(() => withOAuth('https://mcp.example.com/mcp', world.tokensWith())).toThrow(/tokens of http/)
})

test('T8: a refresh and a logout wait for another holder no longer than lockWaitMs, and nothing is sent or deleted', async () => {
  await using world = await scene()
  const tokens = world.tokensWith({ lockWaitMs: 100 })
  await tokens.login()
  const fetch = world.fetchWith(tokens)
  world.as.live.clear()
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const { promise: isHeld, resolve: held } = Promise.withResolvers<void>()
  const holder = world.store.transact(
    keyOf(world.mcp),
    async () => {
      held()
      await released
    },
    { deadlineMs: 1_000 }
  )
  await isHeld
  await expect(world.post(fetch)).rejects.toMatchObject({ code: 'MCPAUTH_LOCK_TIMEOUT' })
  await expect(tokens.logout()).rejects.toMatchObject({ code: 'MCPAUTH_LOCK_TIMEOUT' })
  expect(world.as.refreshes).toBe(0)
  release()
  await holder
  expect(await world.post(fetch)).toBe(200)
  expect(world.as.refreshes).toBe(1)
})

test('T18: a refresh that could not be written does not outlive a logout in another process', async () => {
  await using world = await scene()
  await world.tokensWith().login()
  const error = new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', 'the disk is full', { hint: 'make room' })
  const store = fullStore(world.store, error)
  store.full = true
  const fetch = world.fetchWith({ store, login: undefined } as never)
  world.as.live.clear()
  expect(await world.post(fetch)).toBe(200)
  await world.tokensWith().logout()
  store.full = false
  world.as.live.clear()
  await expect(world.post(fetch)).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
  expect(await world.store.read(keyOf(world.mcp))).not.toHaveProperty('refresh_token')
})

import { authFetch, type FetchLike, fetchDispatcher } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'
import { expect, test } from 'vitest'
import { oauthTokens, withOAuth } from '../src/index.ts'
import { approving, authorizationServer, resourceServer } from './small-servers.ts'

test('logs in on the first 401, and sends the request again with the token', async () => {
  await using as = await authorizationServer()
  await using mcp = await resourceServer(as)
  const login = approving()
  await using fetch = authFetch(withOAuth(mcp.url, { login, store: memoryStore() }))
  const response = await fetch(mcp.url, { method: 'POST', body: '{}' })
  expect(response.status).toBe(200)
  expect(login.asked).toHaveLength(1)
  expect(mcp.at('/mcp').map(({ headers }) => headers.authorization !== undefined)).toEqual([false, true])
})

test('a server that asks for nothing gets no login and no token', async () => {
  await using as = await authorizationServer()
  await using mcp = await resourceServer(as)
  mcp.overrides.set('/mcp', () => ({ status: 200 }))
  await using fetch = authFetch(withOAuth(mcp.url, { store: memoryStore() }))
  expect((await fetch(mcp.url)).status).toBe(200)
  expect(as.seen).toHaveLength(0)
})

test('T7: many requests on one expired token make one refresh, and all succeed', async () => {
  await using as = await authorizationServer()
  await using mcp = await resourceServer(as)
  const tokens = oauthTokens(mcp.url, { login: approving(), store: memoryStore() })
  await tokens.login()
  await using fetch = authFetch(withOAuth(mcp.url, tokens))
  as.live.clear()
  const responses = await Promise.all(Array.from({ length: 50 }, () => fetch(mcp.url, { method: 'POST', body: '{}' })))
  expect(responses.map(({ status }) => status)).toEqual(Array(50).fill(200))
  expect({ refreshes: as.refreshes, reused: as.reused }).toEqual({ refreshes: 1, reused: 0 })
})

test('T20: without a login strategy, a needed login is an error at once, and nobody is contacted', async () => {
  await using as = await authorizationServer()
  await using mcp = await resourceServer(as)
  await using fetch = authFetch(withOAuth(mcp.url, { store: memoryStore() }))
  await expect(fetch(mcp.url, { method: 'POST', body: '{}' })).rejects.toMatchObject({
    code: 'MCPAUTH_LOGIN_REQUIRED',
    hint: expect.stringContaining(`login ${mcp.url}`)
  })
  expect(as.seen).toHaveLength(0)
})

/** What a fetch with these options sends to the server's URL, at a server that answers everything. */
async function sent(server: string, make: (server: string) => ReturnType<typeof withOAuth>): Promise<(string | null)[]> {
  const authorizations: (string | null)[] = []
  const answer: FetchLike = async (_url, init) => {
    authorizations.push(new Headers(init?.headers).get('authorization'))
    return new Response('{}')
  }
  await using fetch = authFetch(make(server), { dispatcher: fetchDispatcher(answer) })
  await fetch(server)
  return authorizations
}

/** A store with a token of a server. */
async function storeWith(url: string, access_token: string) {
  const store = memoryStore()
  await store.transact({ kind: 'server', url }, (held) => held.write({ access_token, generation: 1 }), { deadlineMs: 1_000 })
  return store
}

test('takes options, or tokens that were made with them', async () => {
  const server = 'https://mcp.example.com/mcp'
  const store = await storeWith(server, 'good')
  expect(await sent(server, (url) => withOAuth(url, { store }))).toEqual(['Bearer good'])
  expect(await sent(server, (url) => withOAuth(new URL(url), oauthTokens(url, { store })))).toEqual(['Bearer good'])
})

test('options that hold a function are options all the same', () => {
  expect(() => withOAuth('https://mcp.example.com/mcp', { login: approving(), store: memoryStore() })).not.toThrow()
  for (const name of ['current', 'renew']) {
    expect(() => withOAuth('https://mcp.example.com/mcp', { [name]: () => undefined } as never)).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining(name) })
    )
  }
})

test('N26: the tokens of one server are not taken for another, not even for another path of it', () => {
  const tokens = oauthTokens('https://mcp.example.com/mcp', { store: memoryStore() })
  for (const other of ['https://mcp.example.com/mcp2', 'https://mcp.example.com:8443/mcp', 'http://mcp.example.com/mcp']) {
    expect(() => withOAuth(other, tokens)).toThrow(
      expect.objectContaining({
        code: 'MCPAUTH_INVALID_OPTION',
        message: expect.stringMatching(/options.*https:\/\/mcp\.example\.com\/mcp$/)
      })
    )
  }
})

test('N31: a server without TLS is refused, and where that was allowed for its tokens it need not be allowed again', async () => {
  const server = 'http://mcp.example.com/mcp'
  const store = await storeWith(server, 'good')
  expect(() => withOAuth(server, { store })).toThrow(expect.objectContaining({ code: 'MCPAUTH_INSECURE_URL' }))
  expect(await sent(server, (url) => withOAuth(url, oauthTokens(url, { store, dangerouslyAllowHttp: true })))).toEqual(['Bearer good'])
})

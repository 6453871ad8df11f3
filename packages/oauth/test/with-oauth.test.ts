import { authFetch } from '@mcpauth/core'
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

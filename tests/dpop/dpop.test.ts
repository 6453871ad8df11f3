import { inspect } from 'node:util'
import { authFetch } from '@mcpauth/core'
import { browserLogin, type Login, type OAuthTokens, oauthTokens, withOAuth } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { expect, onTestFinished, test } from 'vitest'
import { type AuthorizationServer, approve, startAuthorizationServer } from '../servers/index.ts'
import { type BoundResource, startBoundResource } from './bound-resource.ts'

const login: Login = browserLogin({ open: async (url) => void (await approve(url)), print: () => {} })

interface World {
  as: AuthorizationServer
  resource: BoundResource
  tokens: OAuthTokens
  /** One request through a road of its own layer; its status. */
  post(path?: string): Promise<number>
}

async function world(dpop: true | 'nonce', store = memoryStore()): Promise<World> {
  const as = await startAuthorizationServer({ dpop })
  const resource = await startBoundResource(as, { '/mcp/admin': 'mcp:admin' })
  const tokens = oauthTokens(resource.url, { dpop: true, login, store })
  const fetch = authFetch(withOAuth(resource.url, tokens))
  onTestFinished(async () => {
    await fetch[Symbol.asyncDispose]()
    await resource[Symbol.asyncDispose]()
    await as[Symbol.asyncDispose]()
  })
  const post = async (path = '/mcp'): Promise<number> => {
    const response = await fetch(new URL(path, resource.url), {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' }
    })
    await response.text()
    return response.status
  }
  return { as, resource, tokens, post }
}

test('N38: tokens are bound to one key, and each request carries a fresh proof with ath, htm and htu', async () => {
  const { resource, post } = await world(true)
  expect([await post(), await post('/mcp?session=1#x'), await post('/mcp/sub')]).toEqual([200, 200, 200])
  expect(new Set(resource.accepted.map(({ thumbprint }) => thumbprint)).size).toBe(1)
  expect(resource.refusals).toEqual(['no token with the DPoP scheme'])
})

test('N38: nonces are retried at both servers, once each, and the rotated one again', async () => {
  const { as, resource, post } = await world('nonce')
  resource.rotateNonce()
  expect(await post()).toBe(200)
  expect(resource.refusals).toEqual(['no token with the DPoP scheme', 'nonce'])
  // The authorization server refused the first token request for its nonce, and took the second.
  expect(as.requests.filter(({ path }) => path === '/token').map(({ status }) => status)).toEqual([400, 200])
  expect(await post()).toBe(200)
  expect(resource.refusals).toHaveLength(2)
  resource.rotateNonce()
  expect(await post()).toBe(200)
  expect(resource.refusals).toEqual(['no token with the DPoP scheme', 'nonce', 'nonce'])
})

test('N38: a refresh keeps the key; of many requests at once there is one', async () => {
  const { as, resource, post } = await world('nonce')
  expect(await post()).toBe(200)
  resource.expire()
  resource.rotateNonce()
  expect(await Promise.all(Array.from({ length: 10 }, () => post()))).toEqual(Array(10).fill(200))
  expect(as.ledger).toMatchObject({ refreshes: 1, reuses: 0, logins: 1 })
  expect(new Set(resource.accepted.map(({ thumbprint }) => thumbprint)).size).toBe(1)
})

test('N38 N28: a step-up keeps the key as well', async () => {
  const { as, resource, post } = await world('nonce')
  resource.rotateNonce()
  expect(await post()).toBe(200)
  expect(await post('/mcp/admin')).toBe(200)
  expect(as.ledger.logins).toBe(2)
  expect(new Set(resource.accepted.map(({ thumbprint }) => thumbprint)).size).toBe(1)
})

test('N38: another process with the same store has the key too', async () => {
  const store = memoryStore()
  const { resource, post } = await world(true, store)
  expect(await post()).toBe(200)
  await using other = authFetch(withOAuth(resource.url, { dpop: true, store }))
  expect((await other(resource.url, { method: 'POST', body: '{}' })).status).toBe(200)
  expect(new Set(resource.accepted.map(({ thumbprint }) => thumbprint)).size).toBe(1)
})

test('N38 T13: the private key is in no status and in no error', async () => {
  const store = memoryStore()
  const { resource, tokens, post } = await world(true, store)
  await post()
  const record = await store.read({ kind: 'server', url: resource.url.href })
  const d = (record?.dpop_key as { d: string } | undefined)?.d ?? ''
  expect(d).toMatch(/^[\w-]{43}$/)
  await resource.origin.close()
  const error = await post().catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(Error)
  expect(inspect([error, await tokens.status(), tokens], { depth: 9, showHidden: true })).not.toContain(d)
})

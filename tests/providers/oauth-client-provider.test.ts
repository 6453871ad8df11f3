import { inspect } from 'node:util'
import { asOAuthClientProvider } from '@mcpauth/core'
import { oauthTokens } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { describe, expect, test } from 'vitest'
import { openScene, roads } from '../wire/roads.ts'
import { askedOf, connectWith, refreshesOnceForManyCalls, refusesBoundTokens, settled } from './provider-clients.ts'

describe.each(roads)('asOAuthClientProvider, $name', (road) => {
  test('N25 N26: a call works with the cached token, and the SDK asks the authorization server nothing', async () => {
    await using scene = await openScene(road)
    const before = scene.as.requests.length
    // A source that cannot log in, and has only what is stored.
    const cached = oauthTokens(scene.url, { store: scene.store })
    await using client = await connectWith(road, scene.url, asOAuthClientProvider(cached))
    expect(await client.call('whoami')).toContain('"sub":"alice"')
    // The keys are the MCP server's request.
    expect(askedOf(scene.as.requests, before).filter((path) => path !== '/jwks')).toEqual([])
    expect(scene.server.refusals).toMatchObject({ POST: 0, GET: 0, SSE: 0 })
  })

  test('T7: a token at its end is refreshed once for many calls', () => refreshesOnceForManyCalls(road, asOAuthClientProvider))

  test('T7: a token ahead of its end is used while it is refreshed once in the background', async () => {
    let offset = 0
    await using scene = await openScene(road, { oauth: { now: () => Date.now() + offset } })
    await using client = await connectWith(road, scene.url, asOAuthClientProvider(scene.tokens))
    await settled(scene)
    offset = 560_000
    await Promise.all(Array.from({ length: 20 }, () => client.call('echo', { text: 'x' })))
    await expect.poll(() => scene.as.ledger.refreshes).toBe(1)
    await client.call('echo', { text: 'x' })
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0 })
    expect(scene.server.refusals.POST).toBe(0)
  })

  test('T19: a refusal in the middle of a session is MCPAUTH_LOGIN_REQUIRED, with the command, and no loop', async () => {
    await using scene = await openScene(road)
    await using client = await connectWith(road, scene.url, asOAuthClientProvider(scene.tokens))
    await settled(scene)
    const before = scene.as.requests.length
    scene.server.expire()
    await expect(client.call('echo', { text: 'x' })).rejects.toMatchObject({
      code: 'MCPAUTH_LOGIN_REQUIRED',
      message: expect.stringContaining('refuses the token'),
      hint: expect.stringContaining(`login ${scene.url.href}`)
    })
    expect(scene.server.refusals.POST).toBe(1)
    expect(askedOf(scene.as.requests, before).filter((path) => path !== '/jwks')).toEqual([])
  })

  test('T19 T20: a server that refuses from the start ends connect() so, after one request', async () => {
    await using scene = await openScene(road)
    scene.server.refuse('POST', 'GET', 'SSE')
    await expect(connectWith(road, scene.url, asOAuthClientProvider(scene.tokens))).rejects.toMatchObject({
      code: 'MCPAUTH_LOGIN_REQUIRED'
    })
    expect(scene.server.refusals.POST + scene.server.refusals.SSE).toBe(1)
    expect(scene.as.ledger).toMatchObject({ refreshes: 0, logins: 0, registrations: 0 })
  })

  test('T20: without a token, connect() ends so as well, and no one registers or logs in', async () => {
    await using scene = await openScene(road)
    const nobody = oauthTokens(scene.url, { store: memoryStore() })
    await expect(connectWith(road, scene.url, asOAuthClientProvider(nobody))).rejects.toMatchObject({
      code: 'MCPAUTH_LOGIN_REQUIRED',
      message: expect.stringContaining('wants a login')
    })
    expect(scene.as.ledger).toMatchObject({ logins: 0, registrations: 0 })
  })

  test('N28: a missing scope is MCPAUTH_LOGIN_REQUIRED, and the SDK starts no flow', async () => {
    await using scene = await openScene(road)
    await using client = await connectWith(road, scene.url, asOAuthClientProvider(scene.tokens))
    const refused = await client.call('admin').catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(Error)
    // Legacy SSE knows no step-up: there the 403 itself is the answer.
    if (road.transport === 'http') expect(refused).toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
    expect(scene.as.ledger).toMatchObject({ refreshes: 0, logins: 0, registrations: 0 })
  })
})

test('N27 T13: the provider shows the access token to the SDK and nothing else of the record', async () => {
  const [road] = roads
  await using scene = await openScene(road as (typeof roads)[0])
  const provider = asOAuthClientProvider(scene.tokens)
  const record = await scene.store.read({ kind: 'server', url: scene.url.href })
  expect(record?.refresh_token).toBeTruthy()
  expect(await provider.tokens()).toEqual({ access_token: record?.access_token, token_type: 'Bearer' })
  expect(inspect(provider, { showHidden: true, depth: 9 })).not.toContain(record?.refresh_token)
})

test.each(['discoveryState', 'clientInformation', 'saveTokens', 'redirectToAuthorization', 'saveCodeVerifier', 'codeVerifier'] as const)(
  'T20: %s, whichever an SDK asks for first, ends its flow',
  (method) => {
    const tokens = { current: () => undefined, renew: () => Promise.reject(new Error('never')) }
    expect(asOAuthClientProvider(tokens, { server: 'https://mcp.example.com/mcp' })[method]).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_LOGIN_REQUIRED', hint: 'run: npx @mcpauth/cli login https://mcp.example.com/mcp' })
    )
  }
)

test('N38: a DPoP token is refused with a typed error, and never sent as a bearer token', () =>
  refusesBoundTokens(
    roads.filter(({ transport }) => transport === 'http'),
    asOAuthClientProvider
  ))

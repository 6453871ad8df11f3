import { asAuthProvider, type TokenSource } from '@mcpauth/core'
import { clientCredentials, oauthTokens } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { describe, expect, test } from 'vitest'
import { startAuthorizationServer, startMcpServerV2 } from '../servers/index.ts'
import { openScene } from '../wire/roads.ts'
import { callTwentyTimes, connectWith, refreshesOnceForManyCalls, refusesBoundTokens, roadsOf, settled } from './provider-clients.ts'

const [anyRoad] = roadsOf('v2') as [ReturnType<typeof roadsOf>[0]]

describe.each(roadsOf('v2'))('asAuthProvider, $name', (road) => {
  test('N25 N26: a call works with the cached token', async () => {
    await using scene = await openScene(road)
    const cached = oauthTokens(scene.url, { store: scene.store })
    await using client = await connectWith(road, scene.url, asAuthProvider(cached))
    expect(await client.call('whoami')).toContain('"sub":"alice"')
    expect(scene.as.ledger).toMatchObject({ refreshes: 0, logins: 0, registrations: 0 })
  })

  test('T7: a token at its end is refreshed once for many calls', () => refreshesOnceForManyCalls(road, asAuthProvider))

  test('T7: a refused token is renewed once for many calls, and each is sent once more', async () => {
    await using scene = await openScene(road)
    await using client = await connectWith(road, scene.url, asAuthProvider(scene.tokens))
    await settled(scene)
    scene.server.expire()
    await callTwentyTimes(client)
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, refusedRefreshes: 0, reuses: 0, logins: 0 })
  })

  test('T7: a 401 that arrives after the renewal neither renews again nor asks anyone to log in', async () => {
    await using scene = await openScene(road)
    await using client = await connectWith(road, scene.url, asAuthProvider(scene.tokens))
    await settled(scene)
    scene.server.expire()
    const late = Promise.withResolvers<void>()
    scene.server.holdRefusals(late.promise, 3)
    const held = ['one', 'two', 'three'].map((text) => client.call('echo', { text }))
    await expect.poll(() => scene.server.refusals.POST).toBe(3)
    expect(await client.call('echo', { text: 'overtakes' })).toBe('overtakes')
    late.resolve()
    expect(await Promise.all(held)).toEqual(['one', 'two', 'three'])
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0, logins: 0 })
  })

  test('a token that this process has refreshed itself is renewed as well when it is refused later', async () => {
    await using scene = await openScene(road)
    await using client = await connectWith(road, scene.url, asAuthProvider(scene.tokens))
    await settled(scene)
    for (const text of ['first', 'second']) {
      scene.server.expire()
      expect(await client.call('echo', { text })).toBe(text)
    }
    expect(scene.as.ledger).toMatchObject({ refreshes: 2, reuses: 0, logins: 0 })
  })

  test('a token that is refused at the first request of a connection is renewed', async () => {
    await using scene = await openScene(road)
    scene.server.expire()
    await using client = await connectWith(road, scene.url, asAuthProvider(scene.tokens))
    expect(await client.call('echo', { text: 'x' })).toBe('x')
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0, logins: 0 })
  })

  test('T20: without a token and without a login, connect() is MCPAUTH_LOGIN_REQUIRED', async () => {
    await using scene = await openScene(road)
    const nobody = oauthTokens(scene.url, { store: memoryStore() })
    await expect(connectWith(road, scene.url, asAuthProvider(nobody))).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
  })
})

test('T19: a server that refuses every token costs three refreshes and then says that a login is wanted', async () => {
  await using scene = await openScene(anyRoad)
  const cached = oauthTokens(scene.url, { store: scene.store })
  await using client = await connectWith(anyRoad, scene.url, asAuthProvider(cached))
  await settled(scene)
  scene.server.refuse('POST')
  const codes: unknown[] = []
  for (let n = 0; n < 8; n++) codes.push(await client.call('echo', { text: 'x' }).catch((error: { code: unknown }) => error.code))
  expect(scene.as.ledger.refreshes).toBe(3)
  expect(codes.slice(3)).toEqual(Array(5).fill('MCPAUTH_LOGIN_REQUIRED'))
})

test('T19: a server that refuses every granted token gets no more than a few, and then a typed error', async () => {
  const client = { client_id: 'robot', client_secret: 'the-secret-of-the-robot', grant_types: ['client_credentials'] }
  const registered = { ...client, redirect_uris: [], response_types: [] as [] }
  await using as = await startAuthorizationServer({ clientCredentials: true, clients: [registered] })
  await using server = await startMcpServerV2({ authorizationServer: as })
  const credentials = { clientId: client.client_id, clientSecret: () => client.client_secret }
  const tokens = oauthTokens(server.url, { grant: clientCredentials(), client: credentials, store: memoryStore() })
  await tokens.login()
  await using connected = await connectWith(anyRoad, server.url, asAuthProvider(tokens))
  server.refuse('POST')
  const codes: unknown[] = []
  for (let n = 0; n < 8; n++) codes.push(await connected.call('echo', { text: 'x' }).catch((error: { code: unknown }) => error.code))
  expect(as.ledger.grants.client_credentials).toBeLessThanOrEqual(5)
  expect(codes.slice(-3)).toEqual(Array(3).fill('MCPAUTH_TOKEN_REFUSED'))
})

test('N27: the provider hands out the access token and nothing else of the record', async () => {
  await using scene = await openScene(anyRoad)
  const record = await scene.store.read({ kind: 'server', url: scene.url.href })
  expect(await asAuthProvider(scene.tokens).token()).toBe(record?.access_token)
})

test('N38: a DPoP token is refused with a typed error, and never sent as a bearer token', () =>
  refusesBoundTokens([anyRoad], asAuthProvider))

test('a host that asks outside the turn of its request is served with the token given last', async () => {
  const refused: unknown[] = []
  const token = { value: 't', scheme: 'Bearer', generation: 4, origin: 'stored' } as const
  const source: TokenSource = {
    current: () => token,
    renew: async (refusal) => {
      refused.push(refusal.token)
      return { ...token, generation: 5 }
    }
  }
  const provider = asAuthProvider(source)
  const context = { response: new Response(null, { status: 401 }), serverUrl: new URL('https://mcp.example.com/mcp') }
  // A turn of its own, begun before the token was given.
  const elsewhere = Promise.withResolvers<void>()
  const later = elsewhere.promise.then(() => provider.onUnauthorized(context))
  await (async () => await provider.token())()
  elsewhere.resolve()
  await later
  expect(refused).toEqual([token])
})

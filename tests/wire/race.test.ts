// The race that breaks the SDKs: many requests on one expired token, against a server that revokes the grant when a refresh token is used twice.
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { describe, expect, test, vi } from 'vitest'
import { type AuthorizationServer, directLogin, startAuthorizationServer, startMcpServerV1 } from '../servers/index.ts'
import { openScene, roads } from './roads.ts'

describe.each(roads)('$name', (road) => {
  test.each([5, 100])('T7 %i requests on one expired token cost one refresh, and all succeed', async (count) => {
    await using scene = await openScene(road)
    await using client = await scene.connect()
    scene.server.expire()
    const texts = Array.from({ length: count }, (_, n) => `call ${n}`)
    expect(await Promise.all(texts.map((text) => client.call('echo', { text })))).toEqual(texts)
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, refusedRefreshes: 0, reuses: 0, revokedGrants: 0 })
    expect([...scene.as.ledger.uses.values()]).toEqual([1])
    // Each request was refused at most once: nobody was sent a third time.
    expect(scene.server.refusals.POST).toBeLessThanOrEqual(count)
  })

  test('T7 a 401 that arrives after the refresh does not refresh again', async () => {
    await using scene = await openScene(road)
    await using client = await scene.connect()
    scene.server.expire()
    const late = Promise.withResolvers<void>()
    scene.server.holdRefusals(late.promise, 3)
    const held = ['one', 'two', 'three'].map((text) => client.call('echo', { text }))
    await expect.poll(() => scene.server.refusals.POST).toBe(3)
    expect(await client.call('echo', { text: 'overtakes' })).toBe('overtakes')
    expect(scene.as.ledger.refreshes).toBe(1)
    late.resolve()
    expect(await Promise.all(held)).toEqual(['one', 'two', 'three'])
    expect(scene.server.refusals.POST).toBe(4)
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0 })
  })
})

describe('the control: the same race through the SDK’s own provider', () => {
  test.each(['v1', 'v2'] as const)('%s uses one refresh token several times, and the grant is revoked', async (sdk) => {
    // It reports each of them on the console.
    vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    await using as = await startAuthorizationServer()
    await using server = await startMcpServerV1({ authorizationServer: as })
    const authProvider = await memoryProvider(as, server.url)
    const client = sdk === 'v1' ? new ClientV1({ name: 'control', version: '1' }) : new ClientV2({ name: 'control', version: '1' })
    const transport = sdk === 'v1' ? new HttpV1(server.url, { authProvider }) : new HttpV2(server.url, { authProvider })
    await client.connect(transport as never)
    as.ledger.reset()
    server.expire()
    const calls = Array.from({ length: 5 }, () => client.callTool({ name: 'echo', arguments: { text: 'x' } }))
    const results = await Promise.allSettled(calls)
    expect(as.ledger.reuses).toBeGreaterThan(0)
    expect(as.ledger.revokedGrants).toBeGreaterThan(0)
    expect(results.some(({ status }) => status === 'rejected')).toBe(true)
    await client.close()
  })
})

/** What the SDK's documentation shows: tokens in a variable. */
async function memoryProvider(as: AuthorizationServer, url: URL): Promise<never> {
  const login = await directLogin(as, url)
  let tokens: object = { access_token: login.access_token, refresh_token: login.refresh_token, token_type: 'Bearer', issuer: as.issuer }
  const client = { client_id: login.client_id, redirect_uris: ['http://127.0.0.1/callback'], issuer: as.issuer }
  return {
    redirectUrl: 'http://127.0.0.1/callback',
    clientMetadata: { redirect_uris: ['http://127.0.0.1/callback'], client_name: 'control', token_endpoint_auth_method: 'none' },
    clientInformation: () => client,
    saveClientInformation: () => undefined,
    tokens: () => tokens,
    saveTokens: (next: object) => {
      tokens = { issuer: as.issuer, ...next }
    },
    redirectToAuthorization: () => undefined,
    saveCodeVerifier: () => undefined,
    codeVerifier: () => 'unused',
    invalidateCredentials: () => undefined
  } as never
}

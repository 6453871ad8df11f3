// Whatever a token endpoint answers: a typed error, nothing that was stored is lost, and the next call works.
import { McpAuthError, type TokenRecord } from '@mcpauth/core'
import { withOAuth } from '@mcpauth/oauth'
import { describe, expect, test } from 'vitest'
import { type Fault, startRecordingServer } from '../servers/index.ts'
import { openScene, type Road, roads, type Scene } from './roads.ts'

const [road] = roads as [Road]

async function stored({ store, url }: Scene): Promise<TokenRecord | undefined> {
  return await store.read({ kind: 'server', url: url.href })
}

const oauthError = JSON.stringify({ error: 'temporarily_unavailable', error_description: 'come back later' })
const faults: Array<[name: string, fault: Fault, code: string]> = [
  ['429', { kind: 'status', status: 429 }, 'MCPAUTH_OAUTH_RESPONSE'],
  ['503', { kind: 'status', status: 503, body: '{}' }, 'MCPAUTH_OAUTH_RESPONSE'],
  ['502 with a page', { kind: 'html', status: 502 }, 'MCPAUTH_OAUTH_RESPONSE'],
  ['200 with a page', { kind: 'html' }, 'MCPAUTH_OAUTH_RESPONSE'],
  ['200 with half a JSON', { kind: 'garbage' }, 'MCPAUTH_OAUTH_RESPONSE'],
  ['200 with an OAuth error', { kind: 'status', status: 200, body: oauthError }, 'MCPAUTH_OAUTH_RESPONSE'],
  ['200 without a token', { kind: 'status', status: 200, body: '{"token_type":"Bearer"}' }, 'MCPAUTH_OAUTH_RESPONSE'],
  ['64 MiB', { kind: 'huge' }, 'MCPAUTH_OAUTH_RESPONSE'],
  ['a closed connection', { kind: 'drop before' }, 'MCPAUTH_NETWORK']
]

test.each(faults)(
  'T9 a token endpoint that answers %s: a typed error, nothing deleted, and the next call succeeds',
  async (_, fault, code) => {
    await using scene = await openScene(road)
    await using client = await scene.connect(withOAuth(scene.url, { store: scene.store }))
    const before = await stored(scene)
    scene.server.expire()
    const active = scene.as.fault('token', fault)
    const failure = await client.call('echo', { text: 'x' }).catch((error: unknown) => error)
    expect(McpAuthError.is(failure)).toBe(true)
    expect(failure).toMatchObject({ code })
    expect(active.hits).toBeLessThanOrEqual(2)
    expect(await stored(scene)).toEqual(before)

    active.clear()
    expect(await client.call('echo', { text: 'again' })).toBe('again')
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0, logins: 0 })
  }
)

test('T9 Retry-After is honoured: until then the token endpoint is left alone', async () => {
  let offset = 0
  await using scene = await openScene(road)
  await using client = await scene.connect(withOAuth(scene.url, { store: scene.store, now: () => Date.now() + offset }))
  scene.server.expire()
  const busy = scene.as.fault('token', { kind: 'status', status: 503, headers: { 'retry-after': '30' } })
  for (let call = 0; call < 3; call++) {
    await expect(client.call('echo', { text: 'x' })).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE', status: 503 })
  }
  expect(busy.hits).toBe(1)
  busy.clear()
  offset = 31_000
  expect(await client.call('echo', { text: 'later' })).toBe('later')
  expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0, logins: 0 })
})

test('T5 a token endpoint that redirects is not followed: the target sees nothing', async () => {
  await using elsewhere = await startRecordingServer()
  await using scene = await openScene(road)
  await using client = await scene.connect(withOAuth(scene.url, { store: scene.store }))
  for (const status of [301, 302, 303, 307, 308]) {
    scene.server.expire()
    scene.as.fault('token', { kind: 'redirect', to: elsewhere.url, status }, { times: 1 })
    await expect(client.call('echo', { text: 'x' })).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE' })
  }
  expect(elsewhere.requests).toHaveLength(0)
})

describe('the connection breaks once', () => {
  test('before the server has acted: the same token is sent once more, and nobody notices', async () => {
    await using scene = await openScene(road)
    await using client = await scene.connect()
    scene.server.expire()
    scene.as.fault('token', { kind: 'drop before' }, { times: 1 })
    expect(await client.call('echo', { text: 'x' })).toBe('x')
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 0, logins: 0 })
  })

  test('after the server has acted, with a grace window: the second answer counts', async () => {
    await using scene = await openScene(road, { as: { graceMs: 60_000 } })
    await using client = await scene.connect()
    scene.server.expire()
    scene.as.fault('token', { kind: 'drop after' }, { times: 1 })
    expect(await client.call('echo', { text: 'x' })).toBe('x')
    expect(scene.as.ledger).toMatchObject({ refreshes: 2, reuses: 0, logins: 0 })
  })

  test('after the server has acted, without one: the grant is gone, and the error says to log in', async () => {
    await using scene = await openScene(road)
    await using client = await scene.connect(withOAuth(scene.url, { store: scene.store }))
    scene.server.expire()
    scene.as.fault('token', { kind: 'drop after' }, { times: 1 })
    await expect(client.call('echo', { text: 'x' })).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, reuses: 1, revokedGrants: 1 })
    // A tombstone: the next attempt does not ask again.
    expect((await stored(scene))?.refresh_token).toBeUndefined()
    await expect(client.call('echo', { text: 'x' })).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
    expect(scene.as.ledger.refusedRefreshes).toBe(1)
  })
})

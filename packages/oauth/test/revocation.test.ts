import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { expect, onTestFinished, test } from 'vitest'
import { authorizationServer, keyOf, type Scene, scene } from './small-servers.ts'

/** A scene with a login, whose server revokes; and what the store warns of. */
async function loggedIn(options: Parameters<Scene['tokensWith']>[0] = {}) {
  const world = await scene()
  world.as.metadata.revocation_endpoint = `${world.as.origin}/revoke`
  const tokens = world.tokensWith(options)
  await tokens.login()
  const warnings: unknown[] = []
  const listener = (event: unknown): void => void warnings.push(event)
  subscribe('mcpauth:store:warning', listener)
  onTestFinished(() => void unsubscribe('mcpauth:store:warning', listener))
  return Object.assign(world, { tokens, warnings, record: await world.store.read(keyOf(world.mcp)) })
}

test('N41: the client proves itself as it does for tokens, and nothing else of the record is sent', async () => {
  await using world = await loggedIn({
    client: { clientId: 'mine', clientSecret: () => 'the-secret-of-mine', tokenEndpointAuthMethod: 'client_secret_post' }
  })
  await world.tokens.logout()
  expect(world.as.at('/revoke').map(({ form }) => Object.fromEntries(form))).toEqual(
    [world.record?.refresh_token, world.record?.access_token].map((token) => ({
      token,
      client_id: 'mine',
      client_secret: 'the-secret-of-mine'
    }))
  )
  expect(world.warnings).toEqual([])
})

test('N41: without a refresh token the access token is revoked', async () => {
  await using world = await scene()
  world.as.metadata.revocation_endpoint = `${world.as.origin}/revoke`
  world.as.tokenFields = { refresh_token: undefined }
  const tokens = world.tokensWith()
  await tokens.login()
  const record = await world.store.read(keyOf(world.mcp))
  await tokens.logout()
  expect(world.as.at('/revoke').map(({ form }) => form.get('token'))).toEqual([record?.access_token])
})

test('N41: a server that offers no revocation is not asked for one', async () => {
  await using world = await loggedIn()
  delete world.as.metadata.revocation_endpoint
  await world.tokens.logout()
  expect(world.as.at('/revoke')).toEqual([])
  expect(world.warnings).toEqual([])
  expect((await world.tokens.status()).loggedIn).toBe(false)
})

test('N15 T2: the tokens are revoked where they are from, and no other server sees them', async () => {
  await using other = await authorizationServer()
  other.metadata.revocation_endpoint = `${other.origin}/revoke`
  await using world = await loggedIn()
  world.mcp.metadata.authorization_servers = [other.origin]
  await world.tokens.logout()
  for (const token of [world.record?.refresh_token, world.record?.access_token]) expect(JSON.stringify(other.seen)).not.toContain(token)
  expect((await world.tokens.status()).loggedIn).toBe(false)
})

test.each<[string, (world: Scene) => void]>([
  ['drops the connection', ({ as }) => void as.overrides.set('/revoke', () => 'drop')],
  ['is not there', ({ as }) => void as.overrides.set('/.well-known/oauth-authorization-server', () => 'drop')],
  ['is away', ({ as }) => void as.overrides.set('/revoke', () => ({ status: 503 }))],
  ['does not know the client', ({ as }) => void as.overrides.set('/revoke', () => ({ status: 401, body: { error: 'invalid_client' } }))],
  ['redirects', ({ as }) => void as.overrides.set('/revoke', () => ({ status: 307, headers: { location: '/elsewhere' } }))],
  ['is on a private network', ({ as }) => void Object.assign(as.metadata, { revocation_endpoint: 'https://169.254.169.254/revoke' })]
])('N41: where a server %s, the tokens are forgotten all the same, and that it could not be told is an event', async (_name, change) => {
  await using world = await loggedIn()
  change(world)
  await world.tokens.logout()
  expect(world.warnings).toMatchObject([{ server: world.mcp.url }])
  expect((await world.store.read(keyOf(world.mcp)))?.access_token).toBeUndefined()
})

test('N41: a server that ends the grant and cannot revoke an access token by itself has done what was asked', async () => {
  await using world = await loggedIn()
  world.as.overrides.set('/revoke', ({ form }) =>
    form.get('token') === world.record?.access_token ? { status: 400, body: { error: 'unsupported_token_type' } } : undefined
  )
  await world.tokens.logout()
  expect(world.as.at('/revoke')).toHaveLength(2)
  expect(world.warnings).toEqual([])
})

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { TokenRecord } from '@mcpauth/core'
import { expect, onTestFinished, test } from 'vitest'
import { revokeTokens } from '../src/revocation.ts'
import { type PaperAnswer, paper, paperContext, paperRecord } from './paper-servers.ts'
import { authorizationServer, keyOf, type Scene, scene } from './small-servers.ts'

/** The warnings about tokens that a test has caused. */
function storeWarnings(): unknown[] {
  const warnings: unknown[] = []
  const listener = (event: unknown): void => void warnings.push(event)
  subscribe('mcpauth:store:warning', listener)
  onTestFinished(() => void unsubscribe('mcpauth:store:warning', listener))
  return warnings
}

/** Revokes the tokens of a record at a server on paper; what it was sent, and within which time it had to answer. */
async function revoked(record: TokenRecord, answer: PaperAnswer = () => new Response()) {
  const context = paperContext({}, answer, { revocation_endpoint: `${paper.issuer}/revoke` })
  const deadlines: (number | undefined)[] = []
  const send: typeof context.network.send = (url, what, request, limits) => {
    deadlines.push(limits?.deadlineMs)
    return context.network.send(url, what, request)
  }
  const warnings = storeWarnings()
  await revokeTokens({ ...context, network: { ...context.network, send } }, record)
  return { sent: context.asked.map(({ url, form }) => [url, form.get('token'), form.get('client_id')]), deadlines, warnings }
}

/** A scene with a login, whose server revokes; and what the store warns of. */
async function loggedIn(options: Parameters<Scene['tokensWith']>[0] = {}) {
  const world = await scene()
  world.as.metadata.revocation_endpoint = `${world.as.origin}/revoke`
  const tokens = world.tokensWith(options)
  await tokens.login()
  return Object.assign(world, { tokens, warnings: storeWarnings(), record: await world.store.read(keyOf(world.mcp)) })
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
  ['publishes nothing', ({ mcp }) => void mcp.overrides.set('/.well-known/oauth-protected-resource/mcp', () => ({ status: 404 }))],
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

test('N41: the refresh token goes first, because that ends the grant, and neither is waited for longer than ten seconds', async () => {
  expect(await revoked(paperRecord())).toEqual({
    sent: [
      [`${paper.issuer}/revoke`, 'stored-refresh', 'stored-client'],
      [`${paper.issuer}/revoke`, 'stored-access', 'stored-client']
    ],
    deadlines: [10_000, 10_000],
    warnings: []
  })
})

test('N41: a refresh token that could not be revoked is an event, also when the access token could: the grant lives on', async () => {
  const answer: PaperAnswer = ({ form }) => new Response(null, { status: form.get('token') === 'stored-refresh' ? 503 : 200 })
  const { sent, warnings } = await revoked(paperRecord(), answer)
  expect(sent).toHaveLength(2)
  expect(warnings).toMatchObject([{ server: paper.mcp }])
})

test.each<[string, Partial<TokenRecord>]>([
  ['from another issuer', { issuer: 'https://other.example' }],
  ['from nobody knows where', { issuer: undefined as never }],
  ['of nobody knows which client', { client: undefined as never }]
])('N15 T2: tokens %s are sent to nobody, and that they live on is an event', async (_name, change) => {
  expect(await revoked({ ...paperRecord(), ...change })).toMatchObject({ sent: [], deadlines: [], warnings: [{ server: paper.mcp }] })
})

test('N41: where there are no tokens any more, nothing is sent, and nothing is amiss', async () => {
  const gone = { ...paperRecord(), access_token: undefined as never, refresh_token: undefined as never }
  expect(await revoked(gone)).toEqual({ sent: [], deadlines: [], warnings: [] })
})

test('N41: a request that cannot be made for the client is an event, and is not sent', async () => {
  const record = { ...paperRecord(), client: { client_id: 'stored-client', token_endpoint_auth_method: 'client_secret_post' } }
  const { sent, warnings } = await revoked(record)
  expect(sent).toEqual([])
  expect(warnings).toHaveLength(1)
})

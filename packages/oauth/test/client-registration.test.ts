import { createVerify, generateKeyPairSync } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type ClientRecord, McpAuthError, secrets } from '@mcpauth/core'
import { expect, onTestFinished, test } from 'vitest'
import { type ClientDescription, isReusable, registerClient } from '../src/client-registration.ts'
import { browserLogin, clientMetadataDocument } from '../src/index.ts'
import { authorizationServer, keyOf, scene } from './small-servers.ts'

const documentUrl = 'https://client.example.com/metadata.json'

test('N8, N9: a client given by the user goes before its document and before registration', async () => {
  await using world = await scene()
  world.as.metadata.client_id_metadata_document_supported = true
  await world.tokensWith({ client: { clientId: 'mine' }, clientMetadataUrl: documentUrl }).login()
  expect(world.login.asked[0]?.searchParams.get('client_id')).toBe('mine')
  expect(world.as.at('/register')).toHaveLength(0)
})

test('N8, N10: the metadata document’s URL is the client id, where the server supports that', async () => {
  await using world = await scene()
  world.as.metadata.client_id_metadata_document_supported = true
  await world.tokensWith({ clientMetadataUrl: documentUrl }).login()
  expect(world.as.at('/token')[0]?.form.get('client_id')).toBe(documentUrl)
  expect(world.as.at('/register')).toHaveLength(0)
})

test('N8: where the server does not support documents, the client registers', async () => {
  await using world = await scene()
  await world.tokensWith({ clientMetadataUrl: documentUrl }).login()
  expect(world.as.at('/register')).toHaveLength(1)
})

test('N8: where nothing is possible, the error says what to give', async () => {
  await using world = await scene()
  delete world.as.metadata.registration_endpoint
  await expect(world.tokensWith().login()).rejects.toMatchObject({
    code: 'MCPAUTH_REGISTRATION_FAILED',
    hint: expect.stringContaining('client.clientId')
  })
})

test('N11: a metadata document with a key authenticates by private_key_jwt', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await using world = await scene()
  world.as.metadata.client_id_metadata_document_supported = true
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  await world.tokensWith({ clientMetadataUrl: documentUrl, client: { clientId: documentUrl, privateKey: () => pem } }).login()
  const form = world.as.at('/token')[0]?.form as URLSearchParams
  expect(form.get('client_assertion_type')).toBe('urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
  const [header, payload, signature] = (form.get('client_assertion') as string).split('.') as [string, string, string]
  expect(JSON.parse(Buffer.from(payload, 'base64url').toString())).toMatchObject({
    iss: documentUrl,
    sub: documentUrl,
    aud: world.as.origin
  })
  const verifier = createVerify('sha256').update(`${header}.${payload}`)
  expect(verifier.verify({ key: publicKey, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'))).toBe(true)
})

test.each([
  'http://client.example.com/x',
  'https://client.example.com',
  'https://client.example.com/',
  'https://client.example.com/a/../x',
  'https://client.example.com/x#y',
  'x'
])('N10: %s cannot name a metadata document', (clientMetadataUrl) => {
  expect(() => clientMetadataDocument({ clientMetadataUrl, clientName: 'x' })).toThrow(/clientMetadataUrl/)
})

test('N10: the document says its own URL, a name and redirect URIs, and never a private key', () => {
  const document = clientMetadataDocument({ clientMetadataUrl: documentUrl, clientName: 'Agent' })
  expect(document).toMatchObject({
    client_id: documentUrl,
    client_name: 'Agent',
    redirect_uris: ['http://127.0.0.1/callback', 'http://[::1]/callback']
  })
  const { privateKey } = generateKeyPairSync('ed25519')
  const keys = [privateKey.export({ format: 'jwk' }) as Record<string, unknown>]
  expect(() => clientMetadataDocument({ clientMetadataUrl: documentUrl, clientName: 'Agent', jwks: { keys } })).toThrow(/private/)
})

test('N12, N13, N27: a registration is native for a loopback redirect and wants refresh tokens', async () => {
  await using world = await scene()
  await world.tokensWith({ clientName: 'Agent' }).login()
  expect(JSON.parse(world.as.at('/register')[0]?.body as string)).toMatchObject({
    client_name: 'Agent',
    application_type: 'native',
    redirect_uris: ['http://127.0.0.1:9/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none'
  })
})

test('N13: a redirect to a web site is application_type web', async () => {
  await using world = await scene()
  const login = async () => ({ ...(await world.login()), redirectUri: 'https://app.example.com/callback' })
  await world.tokensWith({ login }).login()
  expect(JSON.parse(world.as.at('/register')[0]?.body as string).application_type).toBe('web')
})

test('N14: a refused registration is tried once with less, and a second no is shown', async () => {
  await using world = await scene()
  let answers = 0
  world.as.overrides.set('/register', ({ body }) => {
    answers += 1
    const refused = 'grant_types' in JSON.parse(body)
    return refused ? { status: 400, body: { error: 'invalid_client_metadata', error_description: 'no grant types' } } : undefined
  })
  await world.tokensWith().login()
  expect(answers).toBe(2)
  world.as.overrides.set('/register', () => ({
    status: 400,
    body: { error: 'invalid_client_metadata', error_description: 'go\u001b away' }
  }))
  await expect(world.tokensWith().login({ newRegistration: true })).rejects.toMatchObject({
    code: 'MCPAUTH_REGISTRATION_FAILED',
    message: expect.stringContaining('invalid_client_metadata, go away')
  })
})

test('a registration for another redirect URI is not used again: many servers compare it to the letter', async () => {
  await using world = await scene()
  await world.tokensWith().login()
  const login = async () => ({ ...(await world.login()), redirectUri: 'http://127.0.0.1:10/callback' })
  await world.tokensWith({ login }).login()
  expect(world.as.at('/register')).toHaveLength(2)
  expect(JSON.parse(world.as.at('/register')[1]?.body as string).redirect_uris).toEqual(['http://127.0.0.1:10/callback'])
})

test('a registration whose secret has run out is not used again', async () => {
  await using world = await scene()
  world.as.overrides.set('/register', ({ body }) => ({
    status: 201,
    body: { ...JSON.parse(body), client_id: 'c', client_secret: 'a-secret-that-ends', client_secret_expires_at: 1 }
  }))
  await world.tokensWith().login()
  await world.tokensWith().login()
  expect(world.as.at('/register')).toHaveLength(2)
})

test('N15: a registration is kept per issuer, and another issuer gets one of its own', async () => {
  await using other = await authorizationServer()
  await using world = await scene()
  const tokens = world.tokensWith()
  await tokens.login()
  const first = world.login.asked[0]?.searchParams.get('client_id')
  await tokens.login()
  expect(world.login.asked[1]?.searchParams.get('client_id')).toBe(first)
  world.mcp.metadata.authorization_servers = [other.origin]
  await tokens.login()
  expect(other.at('/register')).toHaveLength(1)
  expect(JSON.stringify(other.seen)).not.toContain(first)
})

test('N15: the issuer changes while tokens are there: they stay at home, and a new login is made', async () => {
  await using other = await authorizationServer()
  await using world = await scene()
  const tokens = world.tokensWith()
  await tokens.login()
  const before = await world.store.read(keyOf(world.mcp))
  world.mcp.metadata.authorization_servers = [other.origin]
  world.as.live.clear()
  for (const token of other.live) world.as.live.add(token)
  await world.post(world.fetchWith(tokens)).catch(() => undefined)
  expect(other.at('/token')).toHaveLength(1)
  expect(world.as.refreshes).toBe(0)
  for (const secret of [before?.refresh_token, before?.access_token, before?.client?.client_id]) {
    expect(JSON.stringify(other.seen)).not.toContain(secret)
  }
})

test('N16: a client registered for another issuer is an error, and its secret is not sent', async () => {
  await using world = await scene()
  const client = { clientId: 'mine', clientSecret: () => 'the-secret-of-mine', issuer: 'https://other.example' }
  await expect(world.tokensWith({ client }).login()).rejects.toMatchObject({ code: 'MCPAUTH_CLIENT_MISMATCH' })
  expect(JSON.stringify(world.as.seen)).not.toContain('the-secret-of-mine')
})

test('N16: the secret of a client without issuer stays with the issuer it was first used at', async () => {
  await using other = await authorizationServer()
  await using world = await scene()
  const tokens = world.tokensWith({ client: { clientId: 'mine', clientSecret: () => 'the-secret-of-mine' } })
  await tokens.login()
  world.mcp.metadata.authorization_servers = [other.origin]
  await expect(tokens.login()).rejects.toMatchObject({ code: 'MCPAUTH_CLIENT_MISMATCH' })
  expect(other.at('/token')).toHaveLength(0)
})

test('a registration that the server has forgotten is made anew once', async () => {
  await using world = await scene()
  await world.tokensWith().login()
  let times = 0
  world.as.overrides.set('/token', () => {
    times += 1
    return times === 1 ? { status: 401, headers: { 'www-authenticate': 'Basic' }, body: { error: 'invalid_client' } } : undefined
  })
  await world.tokensWith().login()
  expect(world.as.at('/register')).toHaveLength(2)
})

test('a server that knows no registration, however new, gets one more and then an error that says so', async () => {
  await using world = await scene()
  await world.tokensWith().login()
  world.as.overrides.set('/token', () => ({ status: 401, headers: { 'www-authenticate': 'Basic' }, body: { error: 'invalid_client' } }))
  await expect(world.tokensWith().login()).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE', error: 'invalid_client', status: 401 })
  expect({ registrations: world.as.at('/register').length, tokenRequests: world.as.at('/token').length }).toEqual({
    registrations: 2,
    tokenRequests: 3
  })
})

test('a forgotten registration at a refresh leads to a new one and one login', async () => {
  await using world = await scene()
  const tokens = world.tokensWith()
  await tokens.login()
  world.as.live.clear()
  world.as.overrides.set('/token', ({ form }) =>
    form.get('grant_type') === 'refresh_token' ? { status: 401, body: { error: 'invalid_client' } } : undefined
  )
  expect(await world.post(world.fetchWith(tokens))).toBe(200)
  expect(world.as.at('/register')).toHaveLength(2)
  expect(world.login.asked).toHaveLength(2)
})

test.each([
  [['client_secret_basic'], 'client_secret_basic'],
  [['client_secret_post'], 'client_secret_post'],
  [['private_key_jwt', 'none'], 'none'],
  [undefined, 'none']
])('a registration asks for a method that the server lists: %j', async (listed, asked) => {
  await using world = await scene()
  world.as.metadata.token_endpoint_auth_methods_supported = listed
  world.as.overrides.set('/register', ({ body }) => ({
    status: 201,
    body: { ...JSON.parse(body), client_id: 'c', client_secret: 's-e-c-r-e-t' }
  }))
  await world.tokensWith().login()
  expect(JSON.parse(world.as.at('/register')[0]?.body as string).token_endpoint_auth_method).toBe(asked)
})

test('Basic credentials are form-encoded as WHATWG does it (RFC 6749 §2.3.1)', async () => {
  await using world = await scene()
  await world.tokensWith({ client: { clientId: 'a-b:c', clientSecret: () => 'p+q %-é' } }).login()
  const header = world.as.at('/token')[0]?.headers.authorization?.replace('Basic ', '') as string
  expect(Buffer.from(header, 'base64').toString()).toBe('a-b%3Ac:p%2Bq+%25-%C3%A9')
})

test('a settled method stays with the client, whatever the server lists later', async () => {
  await using world = await scene()
  world.as.metadata.token_endpoint_auth_methods_supported = ['client_secret_post']
  const tokens = world.tokensWith({ client: { clientId: 'mine', clientSecret: { env: 'S' } }, env: { S: 'the-secret-of-mine' } })
  await tokens.login()
  world.as.metadata.token_endpoint_auth_methods_supported = ['client_secret_basic']
  world.as.live.clear()
  await world.post(world.fetchWith(tokens))
  expect(world.as.at('/token').map(({ form }) => form.get('client_secret'))).toEqual(['the-secret-of-mine', 'the-secret-of-mine'])
  expect(JSON.stringify(await world.store.read(keyOf(world.mcp)))).not.toContain('the-secret-of-mine')
})

test('N31: the redirect URI of a browser login is a loopback address', async () => {
  const open = await browserLogin({ open: false, print: () => undefined })()
  expect(open.redirectUri).toMatch(/^http:\/\/127\.0\.0\.1:\d+\//)
  open.close?.()
})

const as = { issuer: 'https://as.example.com', registration_endpoint: 'https://as.example.com/register' }
const description: ClientDescription = {
  clientName: 'Agent',
  redirectUri: 'http://127.0.0.1:9/callback',
  grantTypes: ['authorization_code', 'refresh_token'],
  scope: 'read'
}

/** A server that answers each registration in turn; an Error is what sending it ends with. */
function registering(...answers: Array<[status: number, body: unknown] | Error>) {
  const sent: Array<{ url: string; headers: Record<string, string>; body: Record<string, unknown>; limits: unknown }> = []
  const network = {
    readMetadata: () => Promise.reject(new Error('nothing is read')),
    send: async ({ href: url }: URL, _what: string, request: { headers: Record<string, string>; body?: string }, limits: unknown) => {
      sent.push({ url, headers: request.headers, body: JSON.parse(request.body as string), limits })
      const next = answers.shift() as [number, unknown] | Error
      if (next instanceof Error) throw next
      return new Response(typeof next[1] === 'string' ? next[1] : JSON.stringify(next[1]), { status: next[0] })
    }
  }
  return {
    sent,
    register: (more: Partial<ClientDescription> = {}, server: object = {}, signal?: AbortSignal) =>
      registerClient(network as never, { ...as, ...server }, { ...description, ...more }, signal)
  }
}

test('N12: a registration says who we are, as JSON, in bounded time, and what comes back is kept with its issuer', async () => {
  const { sent, register } = registering([201, { client_id: 'c1', client_secret: 'the-secret-of-c1', client_secret_expires_at: 7 }])
  const { signal } = new AbortController()
  expect(await register({}, {}, signal)).toEqual({
    client_id: 'c1',
    client_secret: 'the-secret-of-c1',
    client_secret_expires_at: 7,
    token_endpoint_auth_method: 'client_secret_basic',
    redirect_uris: ['http://127.0.0.1:9/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    issuer: as.issuer
  })
  expect(sent).toEqual([
    {
      url: as.registration_endpoint,
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: {
        client_name: 'Agent',
        redirect_uris: ['http://127.0.0.1:9/callback'],
        response_types: ['code'],
        application_type: 'native',
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: 'none',
        scope: 'read'
      },
      limits: { deadlineMs: 30_000, signal }
    }
  ])
  expect(secrets.redact('the-secret-of-c1')).toBe('[REDACTED:client_secret]')
})

test('N12: without a browser there are no redirect URIs and no response types, and the grant stays in the second try', async () => {
  const { sent, register } = registering([400, { error: 'invalid_client_metadata' }], [200, { client_id: 'c1', client_secret: '' }])
  const record = await register({ redirectUri: undefined, grantTypes: ['client_credentials'], scope: undefined })
  expect(record).toStrictEqual({
    client_id: 'c1',
    token_endpoint_auth_method: 'none',
    redirect_uris: [],
    grant_types: ['client_credentials'],
    issuer: as.issuer
  })
  const full = {
    client_name: 'Agent',
    redirect_uris: [],
    response_types: [],
    application_type: 'native',
    grant_types: ['client_credentials'],
    token_endpoint_auth_method: 'none'
  }
  expect(sent.map(({ body }) => body)).toEqual([full, full])
})

test('N14: the second try with a browser says only what no server can object to', async () => {
  const { sent, register } = registering([400, { error: 'invalid_client_metadata' }], [201, { client_id: 'c1' }])
  const record = await register()
  expect(sent[1]?.body).toEqual({
    client_name: 'Agent',
    redirect_uris: ['http://127.0.0.1:9/callback'],
    application_type: 'native',
    token_endpoint_auth_method: 'none'
  })
  expect(record).not.toHaveProperty('grant_types')
})

test.each([
  ['http://localhost:9/callback', 'native'],
  ['https://127.0.0.1/callback', 'native'],
  ['com.example.app:/callback', 'native'],
  ['com.example.app:/https://app.example.com', 'native'],
  ['https://app.example.com/callback', 'web'],
  ['http://app.example.com/callback', 'web']
])('N13: a redirect to %s is application_type %s', async (redirectUri, type) => {
  const { sent, register } = registering([201, { client_id: 'c1' }])
  await register({ redirectUri })
  expect(sent[0]?.body.application_type).toBe(type)
})

test.each<[string, Array<[number, unknown]>, string, number]>([
  ['refuses the redirect URI: less of it would not help', [[400, { error: 'invalid_redirect_uri' }]], 'MCPAUTH_REGISTRATION_FAILED', 1],
  ['forbids it', [[403, { error: 'access_denied' }]], 'MCPAUTH_REGISTRATION_FAILED', 1],
  [
    'refuses twice',
    [
      [400, {}],
      [400, {}]
    ],
    'MCPAUTH_REGISTRATION_FAILED',
    2
  ],
  ['answers without a client', [[201, {}]], 'MCPAUTH_REGISTRATION_FAILED', 1],
  ['answers with an empty client', [[201, { client_id: '' }]], 'MCPAUTH_REGISTRATION_FAILED', 1],
  ['answers with a client that is a number', [[201, { client_id: 5 }]], 'MCPAUTH_REGISTRATION_FAILED', 1],
  ['answers with HTML', [[200, '<html>']], 'MCPAUTH_REGISTRATION_FAILED', 1],
  ['names a client and says no', [[403, { client_id: 'c1' }]], 'MCPAUTH_REGISTRATION_FAILED', 1],
  ['is down, which refuses nothing', [[500, {}]], 'MCPAUTH_OAUTH_RESPONSE', 1],
  ['is busy, which refuses nothing', [[429, {}]], 'MCPAUTH_OAUTH_RESPONSE', 1],
  [
    'goes down between the two tries',
    [
      [400, {}],
      [503, {}]
    ],
    'MCPAUTH_OAUTH_RESPONSE',
    2
  ]
])('N14: a server that %s', async (_name, answers, code, tries) => {
  const { sent, register } = registering(...answers)
  await expect(register()).rejects.toMatchObject({ code })
  expect(sent).toHaveLength(tries)
})

test('T13: a registration is an event that names the issuer and the client, and nothing that is secret', async () => {
  const events: unknown[] = []
  const listener = (event: unknown): void => void events.push(event)
  subscribe('mcpauth:client:registered', listener)
  onTestFinished(() => void unsubscribe('mcpauth:client:registered', listener))
  await registering([201, { client_id: 'c1', client_secret: 'the-secret-of-the-event' }]).register()
  await expect(registering([403, { client_id: 'c2' }]).register()).rejects.toMatchObject({ code: 'MCPAUTH_REGISTRATION_FAILED' })
  expect(events).toEqual([{ issuer: as.issuer, clientId: 'c1' }])
})

test('N14: a network that fails refuses nothing, and nothing is tried again', async () => {
  const broken = new McpAuthError('MCPAUTH_NETWORK', 'broken')
  const { sent, register } = registering(broken)
  await expect(register()).rejects.toBe(broken)
  expect(sent).toHaveLength(1)
})

test.each<[string, Record<string, unknown>, Record<string, unknown>]>([
  [
    'its method',
    { token_endpoint_auth_method: 'client_secret_post', client_secret: 's' },
    { token_endpoint_auth_method: 'client_secret_post' }
  ],
  [
    'a method that we do not know',
    { token_endpoint_auth_method: 'x', client_secret: 's' },
    { token_endpoint_auth_method: 'client_secret_basic' }
  ],
  ['a method that is no word', { token_endpoint_auth_method: 5 }, { token_endpoint_auth_method: 'none' }],
  ['an end that is no number', { client_secret_expires_at: '7' }, { client_secret_expires_at: undefined }],
  ['a secret that is no word', { client_secret: 5 }, { client_secret: undefined, token_endpoint_auth_method: 'none' }]
])('a registration that is answered with %s', async (_name, answer, expected) => {
  const record = await registering([201, { client_id: 'c1', ...answer }]).register()
  for (const [name, value] of Object.entries(expected)) expect(record[name as keyof ClientRecord]).toEqual(value)
})

const kept: ClientRecord = { client_id: 'c1', redirect_uris: ['http://127.0.0.1:9/callback'], grant_types: ['authorization_code'] }

test.each<[string, Partial<ClientRecord>, Partial<ClientDescription>, boolean]>([
  ['the same', {}, {}, true],
  ['another redirect URI', {}, { redirectUri: 'http://127.0.0.1:10/callback' }, false],
  ['one of several redirect URIs', { redirect_uris: ['x:/y', 'http://127.0.0.1:9/callback'] }, {}, true],
  ['none that is known', { redirect_uris: undefined as never }, {}, false],
  ['no redirect', {}, { redirectUri: undefined }, true],
  ['a grant that it is not for', {}, { grantTypes: ['authorization_code', 'refresh_token'] }, false],
  [
    'the code flow, which is for refreshes too',
    { grant_types: undefined as never },
    { grantTypes: ['authorization_code', 'refresh_token'] },
    true
  ],
  ['another grant where it did not say', { grant_types: undefined as never }, { grantTypes: ['client_credentials'] }, false],
  ['a secret that never ends', { client_secret_expires_at: 0 }, {}, true],
  ['a secret that ends later', { client_secret_expires_at: 11 }, {}, true],
  ['a secret that ends now', { client_secret_expires_at: 10 }, {}, false],
  ['a secret that has ended', { client_secret_expires_at: 1 }, {}, false]
])('N12: a registration that was kept serves a login with %s', (_name, record, wanted, expected) => {
  const login = { redirectUri: 'http://127.0.0.1:9/callback', grantTypes: ['authorization_code'], ...wanted }
  expect(isReusable({ ...kept, ...record }, login, 10_000)).toBe(expected)
})

import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalJWKSet, exportJWK, jwtVerify } from 'jose'
import { expect, onTestFinished, test, vi } from 'vitest'
import {
  clientCredentials,
  type DevicePrompt,
  deviceLogin,
  enterpriseAuthorization,
  refreshTokenOnly,
  tokenExchange,
  workloadIdentity
} from '../src/index.ts'
import { type Answer, keyOf, type Scene, scene } from './small-servers.ts'

const secret = 'the-secret-of-the-robot'
const formOf = (world: Scene, index = 0): Record<string, string> => Object.fromEntries(world.as.at('/token').at(index)?.form ?? [])

test.each([
  ['client_secret_basic', { authorization: `Basic ${Buffer.from(`robot:${secret}`).toString('base64')}` }, {}],
  ['client_secret_post', {}, { client_id: 'robot', client_secret: secret }]
])('N36: client credentials by %s', async (method, headers, fields) => {
  await using world = await scene()
  world.as.metadata.token_endpoint_auth_methods_supported = [method]
  const options = { grant: clientCredentials(), client: { clientId: 'robot', clientSecret: { env: 'ROBOT' } }, env: { ROBOT: secret } }
  expect(await world.post(world.fetchWith(options))).toBe(200)
  expect(world.as.at('/token')[0]?.headers).toMatchObject(headers)
  expect(formOf(world)).toMatchObject({ grant_type: 'client_credentials', resource: world.mcp.url, ...fields })
})

test.each([
  ['ES256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' })],
  ['RS256', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ['PS256', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ['EdDSA', () => generateKeyPairSync('ed25519')]
])('N36: client credentials by private_key_jwt with %s, as PEM and as JWK', async (alg, generate) => {
  const { privateKey, publicKey } = generate() as ReturnType<typeof generateKeyPairSync> & Record<'privateKey' | 'publicKey', never>
  const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), alg }] })
  const pem = (privateKey as { export(options: object): string }).export({ type: 'pkcs8', format: 'pem' })
  const jwk = JSON.stringify({ ...(await exportJWK(privateKey)), alg })
  for (const key of [pem, jwk]) {
    await using world = await scene()
    const options = { grant: clientCredentials(), client: { clientId: 'robot', privateKey: () => key, signingAlgorithm: alg } }
    expect(await world.post(world.fetchWith(options))).toBe(200)
    const { payload } = await jwtVerify(formOf(world).client_assertion as string, keys, {
      audience: world.as.origin,
      issuer: 'robot',
      subject: 'robot'
    })
    expect(payload).toMatchObject({ jti: expect.any(String), exp: expect.any(Number) })
  }
})

test('a grant without a person is asked once for many requests, and again ahead of the token’s end', async () => {
  let clock = Date.now()
  await using world = await scene()
  world.as.tokenFields = { refresh_token: undefined }
  const options = { grant: clientCredentials(), client: { clientId: 'robot', clientSecret: () => secret }, now: () => clock }
  const tokens = world.tokensWith(options)
  const fetch = world.fetchWith(tokens)
  expect(await Promise.all(Array.from({ length: 20 }, () => world.post(fetch)))).toEqual(Array(20).fill(200))
  expect(world.as.grants).toBe(1)
  clock += 590_000
  const before = tokens.current()
  while (tokens.current() === before) await new Promise(setImmediate)
  expect(world.as.grants).toBe(2)
  world.as.live.clear()
  expect(await world.post(fetch)).toBe(200)
  expect(world.as.grants).toBe(3)
})

test('a missing secret is an error that names the variable, and nothing is sent', async () => {
  await using world = await scene()
  const options = { grant: clientCredentials(), client: { clientId: 'robot', clientSecret: { env: 'ROBOT' } }, env: {} }
  await expect(world.post(world.fetchWith(options))).rejects.toMatchObject({
    code: 'MCPAUTH_CREDENTIAL_MISSING',
    message: expect.stringContaining('ROBOT')
  })
  expect(world.as.at('/token')).toHaveLength(0)
})

test('N39: a workload’s JWT is read anew from its file, and exchanged', async () => {
  const file = join(await mkdtemp(join(tmpdir(), 'mcpauth-test-')), 'token')
  await writeFile(file, 'first.workload.jwt\n')
  await using world = await scene()
  world.as.tokenFields = { refresh_token: undefined }
  const tokens = world.tokensWith({ grant: workloadIdentity({ token: { file } }), client: { clientId: 'job' } })
  const fetch = world.fetchWith(tokens)
  expect(await world.post(fetch)).toBe(200)
  await writeFile(file, 'second.workload.jwt')
  world.as.live.clear()
  expect(await world.post(fetch)).toBe(200)
  expect(world.as.at('/token').map(({ form }) => form.get('assertion'))).toEqual(['first.workload.jwt', 'second.workload.jwt'])
  expect(formOf(world)).toMatchObject({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    resource: world.mcp.url,
    client_id: 'job'
  })
})

test('N39: a rejected JWT is never sent again, and no other grant is tried; the platform’s next one is', async () => {
  await using world = await scene()
  let clock = Date.now()
  let jwt = 'expired.workload.jwt'
  world.as.overrides.set('/token', ({ form }) =>
    form.get('assertion') === 'fresh.workload.jwt' ? undefined : { status: 400, body: { error: 'invalid_grant' } }
  )
  const fetch = world.fetchWith({ grant: workloadIdentity({ token: () => jwt }), client: { clientId: 'job' }, now: () => clock })
  for (let hour = 0; hour < 3; hour += 1) {
    await expect(world.post(fetch)).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE', error: 'invalid_grant' })
    clock += 3_600_000
  }
  expect(world.as.at('/token')).toHaveLength(1)
  jwt = 'fresh.workload.jwt'
  expect(await world.post(fetch)).toBe(200)
})

test('N39: a workload without a client registration sends no client id', async () => {
  await using world = await scene()
  delete world.as.metadata.registration_endpoint
  expect(await world.post(world.fetchWith({ grant: workloadIdentity({ token: () => 'the.workload.jwt' }) }))).toBe(200)
  expect(formOf(world)).not.toHaveProperty('client_id')
})

test('N26: what an exchange says is no access token (RFC 8693 §2.2.1, N_A) is neither kept nor sent to the MCP server', async () => {
  await using world = await scene()
  world.as.tokenFields = { token_type: 'N_A', issued_token_type: 'urn:ietf:params:oauth:token-type:id_token' }
  const grant = tokenExchange({ subjectToken: () => 'the-subject-token' })
  await expect(world.post(world.fetchWith({ grant, client: { clientId: 'c' } }))).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE' })
  expect(world.mcp.at('/mcp').map(({ headers }) => headers.authorization)).toEqual([undefined])
  expect((await world.store.read(keyOf(world.mcp)))?.access_token).toBeUndefined()
})

test('N37: the identity provider’s assertion for this issuer and resource is exchanged for tokens', async () => {
  await using provider = await scene()
  await using world = await scene()
  provider.as.overrides.set('/token', () => ({
    body: { access_token: 'the.id.jag', token_type: 'N_A', issued_token_type: 'urn:ietf:params:oauth:token-type:id-jag' }
  }))
  const grant = enterpriseAuthorization({
    issuer: provider.as.origin,
    tokenUrl: `${provider.as.origin}/token`,
    client: { clientId: 'at-idp' },
    idToken: () => 'the.id.token'
  })
  expect(await world.post(world.fetchWith({ grant, client: { clientId: 'agent', clientSecret: () => secret } }))).toBe(200)
  expect(formOf(provider)).toEqual({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    client_id: 'at-idp',
    subject_token: 'the.id.token',
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    requested_token_type: 'urn:ietf:params:oauth:token-type:id-jag',
    audience: world.as.origin,
    resource: world.mcp.url
  })
  expect(formOf(world)).toMatchObject({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: 'the.id.jag' })
  // Each party sees its own secrets only.
  expect(JSON.stringify(provider.as.seen)).not.toContain(secret)
  expect(JSON.stringify(world.as.seen)).not.toContain('the.id.token')
})

/** A device login whose server gives these answers before it issues. */
async function device(answers: Array<Record<string, unknown> | Answer | 'drop'>) {
  const world = await scene()
  const { origin } = world.as
  world.as.metadata.device_authorization_endpoint = `${origin}/device`
  world.as.overrides.set('/device', () => ({
    body: {
      device_code: 'the-device-code',
      user_code: 'WDJB-\u001b[31mMJHT',
      verification_uri: `${origin}/activate`,
      verification_uri_complete: `${origin}/activate?user_code=WDJB`,
      expires_in: 900,
      interval: 5
    }
  }))
  world.as.overrides.set('/token', () => {
    const next = answers.shift()
    if (next === undefined || next === 'drop') return next
    return 'status' in next ? (next as Answer) : { status: 400, body: next }
  })
  const prompts: DevicePrompt[] = []
  const waits: number[] = []
  const grant = deviceLogin({
    show: (prompt) => prompts.push(prompt),
    wait: async (ms) => {
      waits.push(ms)
      await new Promise(setImmediate)
    }
  })
  return Object.assign(world, { prompts, waits, grant })
}

test('N40: a device login shows a code, asks at the server’s pace, and slows down when told to', async () => {
  await using world = await device([{ error: 'authorization_pending' }, { error: 'slow_down' }, { error: 'authorization_pending' }])
  expect(await world.post(world.fetchWith({ grant: world.grant }))).toBe(200)
  expect(world.waits).toEqual([5_000, 5_000, 10_000, 10_000])
  expect(world.prompts).toEqual([
    {
      verificationUri: `${world.as.origin}/activate`,
      userCode: 'WDJB- [31mMJHT',
      verificationUriComplete: `${world.as.origin}/activate?user_code=WDJB`,
      expiresInSeconds: 900
    }
  ])
  expect(world.as.at('/device')[0]?.form.get('resource')).toBe(world.mcp.url)
  expect(formOf(world)).toMatchObject({ device_code: 'the-device-code', resource: world.mcp.url })
})

test.each<[string, Answer | 'drop', number]>([
  ['answers with a page of its proxy', { status: 502, body: '<h1>Bad gateway</h1>' }, 10_000],
  ['drops the connection', 'drop', 10_000]
])('N40 T9: a server that %s for a moment does not end a device login; it is asked less often', async (_name, answer, everyMs) => {
  await using world = await device([{ error: 'authorization_pending' }, answer, { error: 'authorization_pending' }])
  expect(await world.tokensWith({ grant: world.grant }).login()).toMatchObject({ loggedIn: true })
  expect(world.waits).toEqual([5_000, 5_000, everyMs, everyMs])
  expect(world.prompts).toHaveLength(1)
})

/** The device authorization answers with these fields as well. */
function deviceSays(world: Scene, fields: Record<string, unknown>, answer: Answer = {}): void {
  const body = { device_code: 'd', user_code: 'u', verification_uri: 'https://as.example.com/activate', ...fields }
  world.as.overrides.set('/device', () => ({ body, ...answer }))
}

test.each<[unknown, number]>([
  [undefined, 5_000],
  ['7', 7_000],
  [120, 120_000],
  [0.001, 1_000],
  [0, 5_000],
  [-1, 5_000],
  ['soon', 5_000],
  [1e9, 600_000],
  [Number.MAX_VALUE, 600_000]
])(
  'N40 T9: an interval of %j is kept to, and one that no timer can wait does not become a storm of requests',
  async (interval, everyMs) => {
    await using world = await device([{ error: 'authorization_pending' }])
    deviceSays(world, { interval })
    expect(await world.tokensWith({ grant: world.grant }).login()).toMatchObject({ loggedIn: true })
    expect(world.waits).toEqual([everyMs, everyMs])
  }
)

test('N40 T9: a server that is away for a moment is never asked sooner than it said before', async () => {
  await using world = await device(['drop', { error: 'slow_down' }])
  deviceSays(world, { interval: 120 })
  await world.tokensWith({ grant: world.grant }).login()
  expect(world.waits).toEqual([120_000, 120_000, 125_000])
})

test.each<[string, Record<string, unknown>, Answer?]>([
  ['no device code', { device_code: undefined }],
  ['a user code that is a number', { user_code: 5 }],
  ['no place to go', { verification_uri: undefined }],
  ['a place that is a program', { verification_uri: 'javascript:alert(1)' }],
  ['a place that is a file', { verification_uri: 'file:///etc/passwd' }],
  ['a place that is no URL', { verification_uri: 'as.example.com/activate' }],
  ['status 400', {}, { status: 400 }],
  ['a page', {}, { body: '<html>' }]
])('N40 N35: a device authorization with %s is an error, and nobody is shown anything', async (_name, fields, answer) => {
  await using world = await device([])
  deviceSays(world, fields, answer)
  await expect(world.tokensWith({ grant: world.grant }).login()).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE' })
  expect(world.prompts).toEqual([])
  expect(world.waits).toEqual([])
})

test('N40 N35: the address with the code in it is shown only when it is one of the web; a code lasts ten minutes where nobody says', async () => {
  await using world = await device([])
  deviceSays(world, { verification_uri_complete: 'javascript:alert(1)', expires_in: 'soon', user_code: 'x'.repeat(50) })
  await world.tokensWith({ grant: world.grant }).login()
  expect(world.prompts).toMatchObject([{ verificationUriComplete: undefined, expiresInSeconds: 600 }])
  expect(world.prompts[0]?.userCode).toHaveLength(40)
})

test('N40: without a show of one’s own the code is on standard error', async () => {
  await using world = await device([])
  const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  onTestFinished(() => written.mockRestore())
  await world.tokensWith({ grant: deviceLogin({ wait: async () => undefined }) }).login()
  expect(written.mock.calls.map(([text]) => text)).toEqual([
    `To log in, open ${world.as.origin}/activate on any device\nand type the code WDJB- [31mMJHT\n`
  ])
})

test('N40: a server without device login says so', async () => {
  await using world = await scene()
  await expect(world.tokensWith({ grant: deviceLogin() }).login()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
})

test('a refresh token from the environment: the rotated one is kept and wins, until the environment changes', async () => {
  await using world = await scene()
  await world.tokensWith({ client: { clientId: 'ci' } }).login()
  const durable = (await world.store.read(keyOf(world.mcp)))?.refresh_token as string
  await world.store.transact(keyOf(world.mcp), (held) => held.clear(), { deadlineMs: 1000 })
  const grant = refreshTokenOnly({ refreshToken: { env: 'CI_TOKEN' } })
  const run = (token: string) => world.fetchWith({ client: { clientId: 'ci' }, grant, env: { CI_TOKEN: token } })
  const sent = () => world.as.at('/token').flatMap(({ form }) => form.get('refresh_token') ?? [])

  expect(await world.post(run(durable))).toBe(200)
  expect(sent()).toEqual([durable])
  const rotated = (await world.store.read(keyOf(world.mcp)))?.refresh_token

  world.as.live.clear()
  expect(await world.post(run(durable))).toBe(200)
  expect(sent()).toEqual([durable, rotated])
  expect(world.as.reused).toBe(0)

  await expect(world.post(run('another-token-in-the-environment'))).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE' })
  expect(sent().at(-1)).toBe('another-token-in-the-environment')
})

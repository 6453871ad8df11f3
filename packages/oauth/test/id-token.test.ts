import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { expect, test } from 'vitest'
import { type ExpectedIdToken, verifyIdToken } from '../src/id-token.ts'
import { browserLogin, enterpriseAuthorization, oidcLogin } from '../src/index.ts'

const issuer = 'https://idp.example.com'
const { privateKey, publicKey } = await generateKeyPair('ES256')
const other = await generateKeyPair('ES256')
const nowMs = Date.now()
const seconds = Math.floor(nowMs / 1000)
const good: JWTPayload = { iss: issuer, aud: 'agent', sub: 'alice', nonce: 'n', iat: seconds, exp: seconds + 600 }

function signed(claims: JWTPayload, key = privateKey): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: 'ES256' }).sign(key)
}

async function verified(token: string, subject?: string): ReturnType<typeof verifyIdToken> {
  const keys = { keys: [await exportJWK(publicKey)] }
  const network = { readMetadata: async () => keys, send: () => Promise.reject(new Error('not asked')) }
  const provider = { issuer, jwks_uri: `${issuer}/jwks` }
  return await verifyIdToken(token, { provider, network, clientId: 'agent', nonce: 'n', subject, now: () => nowMs })
}

test('N37: an ID token of the provider, for us, for this login, in time, is taken', async () => {
  expect(await verified(await signed(good), 'alice')).toEqual({ subject: 'alice', expiresAtSeconds: seconds + 600 })
  expect(await verified(await signed({ ...good, aud: ['agent', 'other'], azp: 'agent' }))).toMatchObject({ subject: 'alice' })
})

test.each<[string, Record<string, unknown>]>([
  ['another issuer', { iss: 'https://evil.example.com' }],
  ['another audience', { aud: 'somebody-else' }],
  ['several audiences and no authorized party', { aud: ['agent', 'other'] }],
  ['another authorized party', { azp: 'somebody-else' }],
  ['another nonce', { nonce: 'm' }],
  ['no nonce', { nonce: undefined }],
  ['its end in the past', { exp: seconds - 120 }],
  ['no end', { exp: undefined }],
  ['no subject', { sub: undefined }],
  ['another subject than before', { sub: 'mallory' }]
])('N37: an ID token with %s is refused', async (_, change) => {
  await expect(verified(await signed({ ...good, ...change }), 'alice')).rejects.toMatchObject({
    code: 'MCPAUTH_LOGIN_FAILED',
    message: expect.stringContaining('the ID token of https://idp.example.com was refused')
  })
})

test('N37: an ID token that somebody else signed, or nobody, is refused, and not quoted', async () => {
  const [header, body] = (await signed(good)).split('.') as [string, string]
  const none = Buffer.from('{"alg":"none"}').toString('base64url')
  const shared = await new SignJWT(good).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode('a'.repeat(32)))
  for (const token of [await signed(good, other.privateKey), `${none}.${body}.`, `${header}.${body}.AAAA`, shared, 'x']) {
    const error = await verified(token).then(
      () => expect.unreachable(),
      (reason: Error) => reason
    )
    expect(error).toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
    expect(error.cause).toBeUndefined()
    expect(error.message).not.toContain(body)
  }
})

test.each<[string, Record<string, unknown>]>([
  ['idToken.issuer', { issuer: 'http://idp.example.com' }],
  ['idToken.clientId', { clientId: '' }],
  ['idToken.login', { login: undefined }],
  ['idToken.scope', { scope: 'profile' }],
  ['idToken.clientSecret', { clientSecret: 'literal' }]
])('a bad %s is refused at construction', (name, change) => {
  const options = { issuer, clientId: 'agent', login: browserLogin(), ...change }
  expect(() => oidcLogin(options as never)).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining(`option ${name}:`) })
  )
})

test('an idToken that is neither a source nor a login is refused at construction', () => {
  const options = { issuer, tokenUrl: `${issuer}/token`, client: { clientId: 'agent' }, idToken: 'literal' }
  expect(() => enterpriseAuthorization(options as never)).toThrow(expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION' }))
})

/** With other keys, or another expectation. */
async function verifiedWith(
  more: Partial<ExpectedIdToken>,
  keys?: unknown,
  claims: Record<string, unknown> = good
): ReturnType<typeof verifyIdToken> {
  const published = keys === undefined ? { keys: [await exportJWK(publicKey)] } : keys
  const network = { readMetadata: async () => published, send: () => Promise.reject(new Error('not asked')) }
  const provider = { issuer, jwks_uri: `${issuer}/jwks` }
  return await verifyIdToken(await signed(claims), { provider, network, clientId: 'agent', nonce: 'n', now: () => nowMs, ...more })
}

test.each([
  [seconds - 59, true],
  [seconds - 60, false]
])('N37: clocks may differ by less than a minute: an end at %d is taken: %s', async (exp, taken) => {
  const verifying = verifiedWith({}, undefined, { ...good, exp })
  if (taken) expect(await verifying).toEqual({ subject: 'alice', expiresAtSeconds: exp })
  else await expect(verifying).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
})

test('N37: after a refresh there may be a nonce or not, and a list of one audience needs no authorized party', async () => {
  expect(await verifiedWith({ nonce: undefined }, undefined, { ...good, nonce: undefined, aud: ['agent'] })).toMatchObject({
    subject: 'alice'
  })
  expect(await verifiedWith({ nonce: undefined })).toMatchObject({ subject: 'alice' })
  await expect(verifiedWith({}, undefined, { ...good, iat: undefined })).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  await expect(verifiedWith({}, undefined, { ...good, aud: ['agent', 'other'], azp: 'other' })).rejects.toMatchObject({
    code: 'MCPAUTH_LOGIN_FAILED'
  })
})

test.each<[string, unknown]>([
  ['nothing', null],
  ['a list', []],
  ['no keys', {}],
  ['keys that are none', { keys: {} }],
  ['keys of which one is no object', { keys: [{}, 'x'] }]
])('N37: a provider that publishes %s can have nothing verified', async (_name, keys) => {
  await expect(verifiedWith({}, keys)).rejects.toMatchObject({ code: 'MCPAUTH_DISCOVERY_FAILED' })
})

test.each([[undefined], [7], ['/jwks'], [''], [[`${issuer}/jwks`]]])(
  'N37: a provider whose jwks_uri is %j is not asked for keys',
  async (jwks_uri) => {
    const network = { readMetadata: () => expect.unreachable(), send: () => expect.unreachable() }
    await expect(verifiedWith({ network, provider: { issuer, jwks_uri } as never })).rejects.toMatchObject({
      code: 'MCPAUTH_DISCOVERY_FAILED'
    })
  }
)

test('N37: the keys are read from where the provider says, until the caller gives up', async () => {
  const { signal } = new AbortController()
  const asked: unknown[] = []
  const network = {
    readMetadata: async (url: URL, what: string, given?: AbortSignal) => {
      asked.push(url.href, what, given)
      return { keys: [await exportJWK(publicKey)] }
    },
    send: () => expect.unreachable()
  }
  await verifiedWith({ network, signal })
  expect(asked).toEqual([`${issuer}/jwks`, 'the signing keys', signal])
})

test('N37: a provider may sign with any algorithm whose keys come in pairs', async () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const ed25519 = generateKeyPairSync('ed25519')
  const pairs: Record<string, Record<'privateKey' | 'publicKey', KeyObject>> = {
    ...Object.fromEntries(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map((alg) => [alg, rsa])),
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    ES512: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
    EdDSA: ed25519,
    Ed25519: ed25519
  }
  for (const [alg, pair] of Object.entries(pairs)) {
    const network = { readMetadata: async () => ({ keys: [await exportJWK(pair.publicKey)] }), send: () => expect.unreachable() }
    const provider = { issuer, jwks_uri: `${issuer}/jwks` }
    const token = await new SignJWT(good).setProtectedHeader({ alg }).sign(pair.privateKey)
    const verifying = verifyIdToken(token, { provider, network, clientId: 'agent', nonce: 'n', now: () => nowMs })
    await expect(verifying, alg).resolves.toMatchObject({ subject: 'alice' })
  }
})

import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { expect, test } from 'vitest'
import { verifyIdToken } from '../src/id-token.ts'
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

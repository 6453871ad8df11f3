import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { inspect } from 'node:util'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { expect, test } from 'vitest'
import { clientAuthentication, readPrivateKey, requestedAuthMethod, settleAuthMethod } from '../src/client-authentication.ts'
import type { ClientOptions } from '../src/index.ts'
import { clientAtProvider } from '../src/provider-client.ts'
import type { TokenEndpointAuthMethod } from '../src/token-endpoint-auth-method.ts'

const neither = { secret: false, privateKey: false }
const secretOnly = { secret: true, privateKey: false }
const keyOnly = { secret: false, privateKey: true }
const both = { secret: true, privateKey: true }

test.each<[string | undefined, typeof both, readonly string[] | undefined, string]>([
  ['client_secret_post', both, ['client_secret_basic'], 'client_secret_post'],
  ['none', both, undefined, 'none'],
  ['self_signed_tls_client_auth', neither, undefined, 'self_signed_tls_client_auth'],
  ['client_secret_jwt', neither, undefined, 'none'],
  ['client_secret_jwt', keyOnly, undefined, 'private_key_jwt'],
  [undefined, keyOnly, ['none'], 'private_key_jwt'],
  [undefined, both, ['client_secret_basic'], 'private_key_jwt'],
  [undefined, neither, ['client_secret_basic'], 'none'],
  [undefined, secretOnly, undefined, 'client_secret_basic'],
  [undefined, secretOnly, ['client_secret_post', 'client_secret_basic'], 'client_secret_basic'],
  [undefined, secretOnly, ['none', 'client_secret_post'], 'client_secret_post'],
  [undefined, secretOnly, ['none'], 'none'],
  [undefined, secretOnly, ['private_key_jwt'], 'client_secret_post'],
  [undefined, secretOnly, [], 'client_secret_post']
])('N36: registered with %j, having %j, where %j is listed: %s', (registered, has, listed, method) => {
  expect(settleAuthMethod(registered, has, listed)).toBe(method)
})

test.each<[readonly string[] | undefined, string]>([
  [undefined, 'none'],
  [['client_secret_basic', 'none'], 'none'],
  [['client_secret_post', 'client_secret_basic'], 'client_secret_basic'],
  [['client_secret_post'], 'client_secret_post'],
  [['private_key_jwt'], 'none'],
  [[], 'none']
])('N12: where %j is listed, a registration asks for %s', (listed, method) => {
  expect(requestedAuthMethod(listed)).toBe(method)
})

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const as = { issuer: 'https://as.example.com' }

/** What a method puts on a token request. */
async function proofOf(method: TokenEndpointAuthMethod, now = () => 1_700_000_000_999): Promise<[Record<string, string>, Headers]> {
  const credentials = { secret: 'p+q', privateKey: { key: privateKey, alg: 'ES256', kid: 'k1' } }
  const body = new URLSearchParams()
  const headers = new Headers()
  const authenticate = await clientAuthentication(method, credentials, now)
  await authenticate(as as never, { client_id: 'a:b' }, body, headers)
  return [Object.fromEntries(body), headers]
}

test('N36: each method puts its proof where it belongs, and nowhere else', async () => {
  expect(await proofOf('none')).toEqual([{ client_id: 'a:b' }, new Headers()])
  expect(await proofOf('tls_client_auth')).toEqual([{ client_id: 'a:b' }, new Headers()])
  expect(await proofOf('self_signed_tls_client_auth')).toEqual([{ client_id: 'a:b' }, new Headers()])
  expect(await proofOf('client_secret_post')).toEqual([{ client_id: 'a:b', client_secret: 'p+q' }, new Headers()])
  const basic = new Headers({ authorization: `Basic ${Buffer.from('a%3Ab:p%2Bq').toString('base64')}` })
  expect(await proofOf('client_secret_basic')).toEqual([{}, basic])
})

test('N36: an assertion lasts a minute, is for the issuer alone, names its key, and is new each time (RFC 7523 §3)', async () => {
  const [first, headers] = await proofOf('private_key_jwt')
  const [second] = await proofOf('private_key_jwt')
  expect([...headers]).toEqual([])
  expect(first).toMatchObject({
    client_id: 'a:b',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
  })
  const assertion = first.client_assertion as string
  expect(decodeProtectedHeader(assertion)).toEqual({ alg: 'ES256', kid: 'k1' })
  const at = 1_700_000_000
  expect(decodeJwt(assertion)).toEqual({ iss: 'a:b', sub: 'a:b', aud: as.issuer, iat: at, nbf: at, exp: at + 60, jti: expect.any(String) })
  expect(decodeJwt(assertion).jti).not.toBe(decodeJwt(second.client_assertion as string).jti)
})

test('N36: an assertion of a key without a name has no kid', async () => {
  const body = new URLSearchParams()
  const credentials = { secret: undefined, privateKey: { key: privateKey, alg: 'ES256' } }
  const authenticate = await clientAuthentication('private_key_jwt', credentials, Date.now)
  await authenticate(as as never, { client_id: 'a' }, body, new Headers())
  expect(decodeProtectedHeader(body.get('client_assertion') as string)).toEqual({ alg: 'ES256' })
})

test.each<[TokenEndpointAuthMethod, string]>([
  ['client_secret_basic', 'clientSecret'],
  ['client_secret_post', 'clientSecret'],
  ['private_key_jwt', 'privateKey']
])('%s without its credential is an error that names the option', async (method, option) => {
  await expect(clientAuthentication(method, { secret: undefined, privateKey: undefined }, Date.now)).rejects.toThrow(
    expect.objectContaining({ code: 'MCPAUTH_CREDENTIAL_MISSING', hint: expect.stringContaining(`client.${option}`) })
  )
})

const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }) as string
const jwkOf = (key: KeyObject, more: Record<string, unknown> = {}): string => JSON.stringify({ ...key.export({ format: 'jwk' }), ...more })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ed25519 = generateKeyPairSync('ed25519').privateKey

test.each<[string, () => string, string | undefined, string]>([
  ['an RSA key', () => pemOf(rsa.privateKey), undefined, 'RS256'],
  ['an RSA key and an algorithm', () => pemOf(rsa.privateKey), 'PS512', 'PS512'],
  ['an RSA key of PKCS #1', () => rsa.privateKey.export({ type: 'pkcs1', format: 'pem' }) as string, undefined, 'RS256'],
  ['a P-256 key', () => pemOf(privateKey), undefined, 'ES256'],
  ['a P-256 key of SEC 1', () => privateKey.export({ type: 'sec1', format: 'pem' }) as string, undefined, 'ES256'],
  ['a P-384 key', () => pemOf(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey), undefined, 'ES384'],
  ['a P-521 key', () => pemOf(generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey), undefined, 'ES512'],
  ['an Ed25519 key', () => pemOf(ed25519), undefined, 'EdDSA'],
  ['a JWK after a line break', () => `\n ${jwkOf(privateKey)}`, undefined, 'ES256'],
  ['a JWK that says its algorithm', () => jwkOf(rsa.privateKey, { alg: 'PS256' }), undefined, 'PS256'],
  ['a JWK that says one, and another one asked for', () => jwkOf(rsa.privateKey, { alg: 'PS256' }), 'RS384', 'RS384'],
  ['a JWK whose algorithm is no word', () => jwkOf(ed25519, { alg: 5 }), undefined, 'EdDSA']
])('N36: %s signs with the algorithm that fits', (_name, text, alg, expected) => {
  expect(readPrivateKey(text(), alg)).toEqual({ key: expect.anything(), alg: expected })
})

test.each<[string, () => string]>([
  ['RS256 RS384 RS512 PS256 PS384 PS512', () => pemOf(rsa.privateKey)],
  ['ES256', () => pemOf(privateKey)],
  ['EdDSA Ed25519', () => pemOf(ed25519)]
])('N36: a key may sign with each algorithm of its kind: %s', (names, text) => {
  for (const alg of names.split(' ')) expect(readPrivateKey(text(), alg).alg).toBe(alg)
})

test('N36: the name of a key is the one that was given, else the one in the JWK', () => {
  expect(readPrivateKey(jwkOf(privateKey, { kid: 'own' })).kid).toBe('own')
  expect(readPrivateKey(jwkOf(privateKey, { kid: 'own' }), undefined, 'given').kid).toBe('given')
  expect(readPrivateKey(jwkOf(privateKey, { kid: 5 }))).not.toHaveProperty('kid')
  expect(readPrivateKey(pemOf(privateKey), undefined, 'given').kid).toBe('given')
})

test.each<[string, () => string, string | undefined]>([
  ['no key', () => 'the-secret-text', undefined],
  ['a public key', () => rsa.publicKey.export({ type: 'spki', format: 'pem' }) as string, undefined],
  ['a public JWK', () => jwkOf(rsa.publicKey), undefined],
  ['a symmetric JWK', () => JSON.stringify({ kty: 'oct', k: 'the-secret-text' }), undefined],
  ['JSON that is broken', () => '{"the-secret-text"', undefined],
  ['a list', () => '[{"k":"the-secret-text"}]', undefined],
  ['a curve without an algorithm', () => pemOf(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey), undefined],
  ['an Ed448 key', () => pemOf(generateKeyPairSync('ed448').privateKey), undefined],
  ['a key for encryption', () => pemOf(generateKeyPairSync('x25519').privateKey), undefined],
  ['an algorithm of another kind of key', () => pemOf(rsa.privateKey), 'ES256'],
  ['an algorithm of another curve', () => pemOf(privateKey), 'ES384'],
  ['a symmetric algorithm', () => pemOf(rsa.privateKey), 'HS256'],
  ['no algorithm at all', () => pemOf(rsa.privateKey), 'none'],
  ['a JWK for another algorithm', () => jwkOf(privateKey, { alg: 'RS256' }), undefined]
])('N36 T13: %s is refused and not quoted', (_name, text, alg) => {
  const error = (() => {
    try {
      return readPrivateKey(text(), alg)
    } catch (caught) {
      return caught
    }
  })()
  expect(error).toMatchObject({ code: 'MCPAUTH_KEY_INVALID' })
  expect(inspect(error, { showHidden: true })).not.toContain('the-secret-text')
})

test.each<[string, Partial<ClientOptions>, readonly string[] | undefined, string]>([
  ['nothing', {}, undefined, 'client_id=idp'],
  ['a secret', { clientSecret: { env: 'S' } }, ['client_secret_post'], 'client_id=idp&client_secret=the-secret'],
  [
    'a secret and its method',
    { clientSecret: { env: 'S' }, tokenEndpointAuthMethod: 'client_secret_post' },
    undefined,
    'client_id=idp&client_secret=the-secret'
  ],
  ['a secret where none is wanted', { clientSecret: { env: 'S' } }, ['none'], 'client_id=idp']
])('N37: a client at an identity provider with %s', async (_name, options, methods, expected) => {
  const { client, clientAuth } = await clientAtProvider(
    { clientId: 'idp', ...options },
    { env: { S: 'the-secret' }, now: Date.now },
    'x',
    methods
  )
  const body = new URLSearchParams()
  await clientAuth(as as never, client, body, new Headers())
  expect(String(body)).toBe(expected)
})

test('N37: a client at an identity provider signs with its key, algorithm and key name', async () => {
  const options = { clientId: 'idp', privateKey: () => pemOf(rsa.privateKey), signingAlgorithm: 'PS256', keyId: 'k2' }
  const { client, clientAuth } = await clientAtProvider(options, { env: {}, now: Date.now }, 'x')
  const body = new URLSearchParams()
  await clientAuth(as as never, client, body, new Headers())
  expect(decodeProtectedHeader(body.get('client_assertion') as string)).toEqual({ alg: 'PS256', kid: 'k2' })
})

test.each(['clientSecret', 'privateKey'])('a %s that is missing is an error that names the option', async (option) => {
  await expect(clientAtProvider({ clientId: 'idp', [option]: () => '' }, { env: {}, now: Date.now }, 'grant.client')).rejects.toMatchObject(
    { code: 'MCPAUTH_CREDENTIAL_MISSING', message: expect.stringContaining(`grant.client.${option}`) }
  )
})

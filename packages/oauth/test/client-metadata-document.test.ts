import { generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import { type ClientMetadataDocumentOptions, clientMetadataDocument } from '../src/client-metadata-document.ts'

const clientMetadataUrl = 'https://client.example.com/metadata.json'
const documentOf = (more: Partial<ClientMetadataDocumentOptions> = {}) =>
  clientMetadataDocument({ clientMetadataUrl, clientName: 'Agent', ...more })
const publicKeys = { keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'x' }] }

const least = {
  client_id: clientMetadataUrl,
  client_name: 'Agent',
  redirect_uris: ['http://127.0.0.1/callback', 'http://[::1]/callback'],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  application_type: 'native',
  token_endpoint_auth_method: 'none'
}

test('N10: a metadata document says all that a server needs to know of a native client, and no more', () => {
  expect(documentOf()).toStrictEqual(least)
})

test('N10 N11: what the options add to a metadata document is in it under the name of the registry', () => {
  const more = {
    redirectUris: ['https://app.example.com/callback'],
    scope: 'read write',
    clientUri: 'https://a.example',
    logoUri: 'https://l.example'
  }
  expect(documentOf(more)).toStrictEqual({
    ...least,
    redirect_uris: more.redirectUris,
    scope: 'read write',
    client_uri: 'https://a.example',
    logo_uri: 'https://l.example'
  })
  const signing = { ...least, token_endpoint_auth_method: 'private_key_jwt' }
  expect(documentOf({ jwks: publicKeys })).toStrictEqual({ ...signing, jwks: publicKeys })
  expect(documentOf({ jwksUri: 'https://k.example' })).toStrictEqual({ ...signing, jwks_uri: 'https://k.example' })
})

const [ec, rsa] = [generateKeyPairSync('ec', { namedCurve: 'P-256' }), generateKeyPairSync('rsa', { modulusLength: 2048 })]

test.each<[string, string, Record<string, unknown>]>([
  ['clientMetadataUrl', 'that is not https', { clientMetadataUrl: 'http://127.0.0.1/metadata.json' }],
  ['clientName', 'that is empty', { clientName: '' }],
  ['clientName', 'that is no text', { clientName: 5 }],
  ['jwksUri', 'beside the keys themselves', { jwks: publicKeys, jwksUri: 'https://k.example' }],
  ['jwks', 'with a private key of a curve', { jwks: { keys: [...publicKeys.keys, ec.privateKey.export({ format: 'jwk' })] } }],
  ['jwks', 'with a private RSA key', { jwks: { keys: [rsa.privateKey.export({ format: 'jwk' })] } }],
  ...['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'].map((part): [string, string, Record<string, unknown>] => [
    'jwks',
    `with the private part ${part}`,
    { jwks: { keys: [{ ...publicKeys.keys[0], [part]: 'x' }] } }
  ])
])('N10 T13: a metadata document is not made of a %s %s', (name, _how, options) => {
  expect(() => documentOf(options)).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining(`option ${name}:`) })
  )
})

test('N11: public keys are published as they are', () => {
  const keys = [ec.publicKey, rsa.publicKey].map((key) => ({ ...key.export({ format: 'jwk' }) }))
  expect(documentOf({ jwks: { keys } }).jwks).toStrictEqual({ keys })
})

import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  verify
} from 'node:crypto'
import { verifyAsync } from '@noble/ed25519'
import * as structured from 'http-message-sig'
import { createSigner, createVerifier, httpbis } from 'http-message-signatures'
import { describe, expect, it } from 'vitest'
import { signatureHeaders, verify as verifyBot } from 'web-bot-auth'
import { signerFromJWK, verifierFromJWK } from 'web-bot-auth/crypto'
import { algorithms } from '../src/algorithms.ts'
import { keyDirectory, type SignatureAlgorithm, verifySignature, withSignature, withWebBotAuth } from '../src/index.ts'
import { capture } from './capture.ts'
import { ed25519, p256, rsaPss, sharedSecret } from './rfc9421-appendix-b.ts'

/** Each signature is verified by an implementation that is not ours, and theirs by ours. */

const url = 'https://mcp.example.com/mcp?a=1&b=%20x'
const request = {
  origin: 'https://mcp.example.com',
  path: '/mcp?a=1&b=%20x',
  method: 'POST',
  headers: { 'content-type': 'application/json', date: 'Tue, 20 Apr 2021 02:07:55 GMT', 'x-two': ['1', ' 2 '] },
  body: '{"hello": "world"}'
}
const p384 = generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey.export({ format: 'jwk' })
const secret = { kty: 'oct', k: Buffer.from(sharedSecret, 'base64').toString('base64url') }
const keys: ReadonlyArray<{ algorithm: SignatureAlgorithm; key: JsonWebKey; keyId: string }> = [
  { algorithm: 'ed25519', key: ed25519, keyId: 'k' },
  { algorithm: 'rsa-pss-sha512', key: rsaPss, keyId: 'k' },
  { algorithm: 'rsa-v1_5-sha256', key: rsaPss, keyId: 'k' },
  { algorithm: 'ecdsa-p256-sha256', key: p256, keyId: 'k' },
  { algorithm: 'ecdsa-p384-sha384', key: p384, keyId: 'k' },
  { algorithm: 'hmac-sha256', key: secret, keyId: 'k' }
]

function theirs(key: JsonWebKey, half: 'private' | 'public'): KeyObject {
  if (key.kty === 'oct') return createSecretKey(Buffer.from(key.k as string, 'base64url'))
  return half === 'public' ? createPublicKey({ key, format: 'jwk' }) : createPrivateKey({ key, format: 'jwk' })
}

const components = [
  '@method',
  '@target-uri',
  '@authority',
  '@scheme',
  '@path',
  '@query',
  '@request-target',
  '@query-param;name="a"',
  'content-type',
  'x-two',
  'x-two;bs',
  'content-digest;key="sha-256"'
]
/** Its identifiers are serialised items. */
const quoted = components.map((text) => text.replace(/^[^;]+/, (name) => `"${name}"`))

describe('http-message-signatures', () => {
  it.each(keys)('verifies what we sign with $algorithm', async ({ algorithm, key, keyId }) => {
    const sent = await capture(withSignature('https://mcp.example.com/mcp', { key, algorithm, keyId, components }), request)
    const verifier = { id: keyId, algs: [algorithm], verify: createVerifier(theirs(key, 'public'), algorithm) }
    const message = { method: 'POST', url, headers: sent.options.headers as Record<string, string> }
    const config = { keyLookup: async () => verifier, requiredFields: ['@method'], tolerance: 5 }
    expect(await httpbis.verifyMessage(config, message)).toBe(true)
    expect(await httpbis.verifyMessage(config, { ...message, method: 'PUT' })).toBe(false)
  })

  it.each(keys)('signs with $algorithm what we verify', async ({ algorithm, key, keyId }) => {
    const headers = { ...request.headers, 'content-digest': 'sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:' }
    const signer = createSigner(theirs(key, 'private'), algorithm, keyId)
    const signed = await httpbis.signMessage({ key: signer, fields: quoted }, { method: 'POST', url, headers })
    const verified = await verifySignature({ ...signed, body: request.body }, { keys: [{ key, algorithm, keyId }], required: components })
    expect(verified).toMatchObject({ keyId, algorithm, bodyVerified: true })
    await expect(verifySignature({ ...signed, method: 'PUT' }, { keys: [{ key, algorithm, keyId }] })).rejects.toMatchObject({
      code: 'MCPAUTH_SIGNATURE_INVALID'
    })
  })
})

describe('http-message-sig', () => {
  const pairs = keys.filter(({ algorithm }) => algorithm === 'ed25519' || algorithm === 'rsa-pss-sha512')
  const policy = (algorithm: string) => ({ algorithms: [algorithm], requiredComponents: ['@method'], requiredParameters: ['created'] })

  it.each(pairs)('verifies what we sign with $algorithm', async ({ algorithm, key, keyId }) => {
    const sent = await capture(withSignature('https://mcp.example.com/mcp', { key, algorithm, keyId }), request)
    const fields = Object.entries(sent.options.headers as Record<string, string>).flatMap(([name, value]) =>
      [value].flat().map((one) => ({ name, value: one }))
    )
    const verifier = {
      algorithm,
      verify: (data: Uint8Array, signature: Uint8Array) => algorithms[algorithm].verifier(theirs(key, 'public'))(data, signature)
    }
    const options = { policy: policy(algorithm), resolveVerifier: () => verifier }
    const message = { kind: 'request' as const, method: 'POST', targetUri: url, fields }
    await expect(structured.verifySignature(message, options)).resolves.toMatchObject({ label: 'sig1' })
    await expect(structured.verifySignature({ ...message, method: 'PUT' }, options)).rejects.toThrow()
  })

  it.each(pairs)('signs with $algorithm what we verify', async ({ algorithm, key, keyId }) => {
    const fields = Object.entries({ 'content-type': 'application/json' }).map(([name, value]) => ({ name, value }))
    const signed = structured.createSignatureSync(
      { kind: 'request', method: 'POST', targetUri: url, fields },
      {
        components: ['@method', '@target-uri', '@query', 'content-type'],
        parameters: { created: Math.floor(Date.now() / 1000), keyid: keyId, alg: algorithm },
        signer: { algorithm, sign: algorithms[algorithm].signer(theirs(key, 'private')) }
      }
    )
    const headers = { 'content-type': 'application/json', signature: signed.signature, 'signature-input': signed.signatureInput }
    await expect(verifySignature({ method: 'POST', url, headers }, { keys: [{ key, algorithm, keyId }] })).resolves.toMatchObject({
      algorithm
    })
  })
})

describe('web-bot-auth', () => {
  const pairs = [ed25519, { ...rsaPss, alg: 'PS512' }]

  it.each(pairs)('verifies what withWebBotAuth signs, $kty', async (key) => {
    // Its released version reads the form of Signature-Agent before the dictionary.
    const layer = withWebBotAuth('https://mcp.example.com/mcp', {
      key,
      signatureAgent: 'https://bot.example',
      signatureAgentForm: 'string'
    })
    const sent = await capture(layer, request)
    const message = { method: 'POST', url, headers: sent.options.headers as Record<string, string> }
    await expect(verifyBot(message, await verifierFromJWK(key))).resolves.toBeUndefined()
    const forged = { ...message, url: 'https://other.example/mcp' }
    await expect(verifyBot(forged, await verifierFromJWK(key))).rejects.toThrow()
  })

  it.each(pairs)('signs what we verify, $kty', async (key) => {
    const message = { method: 'POST', url, headers: { 'signature-agent': '"https://bot.example"' } }
    const now = Date.now()
    const headers = await signatureHeaders(message, await signerFromJWK(key), { created: new Date(now), expires: new Date(now + 60_000) })
    const verified = await verifySignature(
      { ...message, headers: { ...message.headers, ...headers } },
      { keys: [{ key }], tag: 'web-bot-auth' }
    )
    expect(verified.signatureAgent).toEqual({ label: undefined, uri: 'https://bot.example', type: 'directory' })
  })

  it('agrees with our directory on the key id', async () => {
    const { jwks } = keyDirectory([{ key: ed25519 }])
    expect(jwks.keys[0]?.kid).toBe((await signerFromJWK(ed25519 as never)).keyid)
  })
})

describe('@noble/ed25519', () => {
  it('verifies what we sign', async () => {
    const sent = await capture(withSignature('https://mcp.example.com/mcp', { key: ed25519, components: ['@method'] }), {
      ...request,
      body: null
    })
    const base = `"@method": POST\n"@signature-params": ${(sent.header('signature-input') as string).slice('sig1='.length)}`
    const signature = Buffer.from((sent.header('signature') as string).slice('sig1=:'.length, -1), 'base64')
    const publicKey = Buffer.from(ed25519.x as string, 'base64url')
    expect(await verifyAsync(signature, Buffer.from(base), publicKey)).toBe(true)
    expect(await verifyAsync(signature, Buffer.from(`${base} `), publicKey)).toBe(false)
  })
})

describe('node:crypto with nothing of ours in between', () => {
  it('verifies the base that RFC 9421 prescribes', async () => {
    const sent = await capture(withSignature('https://mcp.example.com/mcp', { key: rsaPss, components: ['@path'] }), {
      ...request,
      body: null
    })
    const base = Buffer.from(`"@path": /mcp\n"@signature-params": ${(sent.header('signature-input') as string).slice('sig1='.length)}`)
    const signature = Buffer.from((sent.header('signature') as string).slice('sig1=:'.length, -1), 'base64')
    expect(verify('sha512', base, { key: theirs(rsaPss, 'public'), padding: 6, saltLength: 64 }, signature)).toBe(true)
  })

  it('makes the same HMAC', async () => {
    const options = { key: secret, keyId: 'k', components: ['@path'] }
    const sent = await capture(withSignature('https://mcp.example.com/mcp', options), { ...request, body: null })
    const base = `"@path": /mcp\n"@signature-params": ${(sent.header('signature-input') as string).slice('sig1='.length)}`
    expect(sent.header('signature')).toBe(
      `sig1=:${createHmac('sha256', Buffer.from(sharedSecret, 'base64')).update(base).digest('base64')}:`
    )
  })
})

import { isInnerList, parseDictionary } from 'structured-headers'
import { describe, expect, it } from 'vitest'
import { fieldsOf } from '../src/http-message.ts'
import { verifySignature, withSignature } from '../src/index.ts'
import { baseLine, coverable, signatureBase } from '../src/signature-base.ts'
import { signatureInvalid } from '../src/signature-error.ts'
import { componentOf } from '../src/signature-params.ts'
import type { KeyOptions } from '../src/signing-keys.ts'
import { capture } from './capture.ts'
import * as appendix from './rfc9421-appendix-b.ts'
import { haveVectors, vectors } from './vectors.ts'

const secretJwk = { kty: 'oct', k: Buffer.from(appendix.sharedSecret, 'base64').toString('base64url') }
const proxied = {
  ...appendix.request,
  url: 'https://service.internal.example/foo?param=Value&Pet=dog',
  headers: { ...appendix.request.headers, Host: 'service.internal.example', 'Client-Cert': appendix.clientCert }
}

const cases = [
  { ...appendix.minimal, key: { key: appendix.rsaPss }, message: appendix.request, required: [] },
  { ...appendix.selective, key: { key: appendix.rsaPss }, message: appendix.request },
  { ...appendix.ofResponse, key: { key: appendix.p256 }, message: appendix.response },
  { ...appendix.byHmac, key: { key: secretJwk, keyId: 'test-shared-secret' }, message: appendix.request },
  { ...appendix.byEd25519, key: { key: appendix.ed25519 }, message: appendix.request },
  { ...appendix.byProxy, key: { key: appendix.p256 }, message: proxied }
] satisfies ReadonlyArray<{ key: KeyOptions; [more: string]: unknown }>

function baseOf(message: (typeof cases)[number]['message'], input: string): string {
  const member = [...parseDictionary(input).values()][0]
  if (!member || !isInnerList(member)) throw new Error('not a list')
  const seen =
    'status' in message
      ? { kind: 'response' as const, status: message.status, fields: fieldsOf(message.headers) }
      : {
          kind: 'request' as const,
          method: message.method,
          scheme: 'https',
          authority: new URL(message.url).host,
          target: '/foo?param=Value&Pet=dog',
          fields: fieldsOf(message.headers)
        }
  const lines = member[0].map((item) => baseLine(coverable(componentOf(item, signatureInvalid), {}, signatureInvalid), seen)).join('')
  return signatureBase(lines, input.slice(input.indexOf('=') + 1)).toString('latin1')
}

describe('RFC 9421 Appendix B', () => {
  it.each(cases)('$section has the signature base that is printed', ({ message, input, base }) => {
    expect(baseOf(message, input)).toBe(base)
  })

  it.each(cases)('$section verifies', async ({ message, input, signature, key, label, ...rest }) => {
    const signed = { ...message, headers: { ...message.headers, 'Signature-Input': input, Signature: signature } }
    const verified = await verifySignature(signed, {
      keys: [key],
      now: () => appendix.createdAtMs,
      ...('required' in rest ? { required: [] } : {})
    })
    expect(verified).toMatchObject({ label, created: 1618884473 })
  })

  it.each(cases)('$section does not verify once a bit of the signature is flipped', async ({ message, input, signature, key }) => {
    const [label, bytes] = [
      signature.slice(0, signature.indexOf('=')),
      Buffer.from(signature.slice(signature.indexOf(':') + 1, -1), 'base64')
    ]
    bytes[7] = (bytes[7] as number) ^ 1
    const headers = { ...message.headers, 'Signature-Input': input, Signature: `${label}=:${bytes.toString('base64')}:` }
    const options = { keys: [key], now: () => appendix.createdAtMs, required: [] }
    await expect(verifySignature({ ...message, headers }, options)).rejects.toMatchObject({ code: 'MCPAUTH_SIGNATURE_INVALID' })
  })

  it.each([
    {
      ...appendix.byHmac,
      key: { key: secretJwk, keyId: 'test-shared-secret' },
      components: ['date', '@authority', 'content-type']
    },
    {
      ...appendix.byEd25519,
      key: { key: appendix.ed25519, keyId: 'test-key-ed25519' },
      components: ['date', '@method', '@path', '@authority', 'content-type', 'content-length']
    }
  ])('$section comes out of withSignature letter for letter', async ({ key, components, label, input, signature }) => {
    const layer = withSignature('https://example.com/', {
      ...key,
      components,
      label,
      parameters: ['created', 'keyid'],
      now: () => appendix.createdAtMs
    })
    const { method, headers, body } = appendix.request
    const sent = await capture(layer, { origin: 'https://example.com', path: '/foo?param=Value&Pet=dog', method, headers, body })
    expect(sent.header('signature-input')).toBe(input)
    expect(sent.header('signature')).toBe(signature)
  })

  it.each([
    {
      ...appendix.selective,
      key: appendix.rsaPss,
      keyId: 'test-key-rsa-pss',
      components: ['@authority', 'content-digest', '@query-param;name="Pet"']
    },
    { ...appendix.byProxy, key: appendix.p256, keyId: 'test-key-ecc-p256', components: ['@path', '@query', '@method', '@authority'] }
  ])('$section: what we sign alike verifies', async ({ key, keyId, components, label }) => {
    const layer = withSignature('https://example.com/', { key, keyId, components, label, now: () => appendix.createdAtMs })
    const { method, headers, body, url } = appendix.request
    const sent = await capture(layer, { origin: 'https://example.com', path: '/foo?param=Value&Pet=dog', method, headers, body })
    const verified = await verifySignature(
      { method, url, headers: sent.options.headers, body },
      { keys: [{ key, keyId }], label, now: () => appendix.createdAtMs }
    )
    expect(verified.keyId).toBe(keyId)
  })
})

describe.skipIf(!haveVectors)('vectors/rfc9421', () => {
  const file = haveVectors ? vectors('rfc9421/appendix-b.json') : { cases: [], keys: { jwk: {} } }

  it('has the very keys, bases and signatures that are typed in above', () => {
    expect(file.keys.jwk['test-key-rsa-pss']).toEqual(appendix.rsaPss)
    expect(file.keys.jwk['test-key-ecc-p256']).toEqual(appendix.p256)
    expect(file.keys.jwk['test-key-ed25519']).toEqual(appendix.ed25519)
    expect(file.keys.hmac['test-shared-secret']).toBe(appendix.sharedSecret)
    const text = JSON.stringify(file.cases.map((entry: { blocks: string[] }) => entry.blocks))
    for (const { base, input, signature } of [appendix.selective, appendix.byHmac, appendix.byEd25519, appendix.byProxy]) {
      for (const part of [base, input, signature]) expect(text).toContain(JSON.stringify(part).slice(1, -1))
    }
    expect(file.cases).toHaveLength(4)
  })

  it('has one more key, test-key-rsa, which signs rsa-v1_5-sha256 and rsa-pss-sha512', async () => {
    const key = file.keys.jwk['test-key-rsa']
    for (const algorithm of ['rsa-v1_5-sha256', 'rsa-pss-sha512'] as const) {
      const sent = await capture(withSignature('https://example.com/', { key, algorithm }), {
        origin: 'https://example.com',
        path: '/',
        method: 'GET'
      })
      const options = { keys: [{ key, algorithm }] }
      const verified = await verifySignature({ method: 'GET', url: 'https://example.com/', headers: sent.options.headers }, options)
      expect(verified.algorithm).toBe(algorithm)
    }
  })
})

import { createPrivateKey, createPublicKey } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import { describe, expect, it } from 'vitest'
import { checkContentDigest, contentDigest } from '../src/content-digest.ts'
import { jwkThumbprint } from '../src/jwk-thumbprint.ts'
import { loadSigningKey } from '../src/signing-keys.ts'
import { ed25519, p256, rsaPss } from './rfc9421-appendix-b.ts'
import { haveVectors, vectors } from './vectors.ts'

interface Ed25519Case {
  secret: string
  public: string
  msg: string
  sig: string
}

const rfc8032: readonly Ed25519Case[] = [
  {
    secret: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    public: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    msg: '',
    sig: 'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b'
  },
  {
    secret: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    public: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    msg: '72',
    sig: '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00'
  }
]

const rfc7638 = {
  jwk: {
    kty: 'RSA',
    n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
    e: 'AQAB',
    alg: 'RS256',
    kid: '2011-04-29'
  },
  thumbprint: 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs'
}

const rfc9530 = [
  { body: '{"hello": "world"}\n', alg: 'sha-256', field: 'sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:' },
  { body: '', alg: 'sha-256', field: 'sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:' }
] as const

const rfc9421Digest = {
  body: '{"hello": "world"}',
  alg: 'sha-512',
  field: 'sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:'
} as const

function expectEd25519({ secret, public: publicHex, msg, sig }: Ed25519Case): void {
  const base64 = Buffer.from(secret, 'hex').toString('base64')
  for (const text of [secret, base64]) {
    const key = loadSigningKey({ key: { env: 'SEED' }, env: { SEED: text } })
    expect(Buffer.from(key.publicJwk?.x as string, 'base64url').toString('hex')).toBe(publicHex)
    expect(key.sign(Buffer.from(msg, 'hex')).toString('hex')).toBe(sig)
  }
}

describe('Ed25519 (RFC 8032 §7.1)', () => {
  it.each(rfc8032)('signs $msg as printed, from a raw seed in hex and in base64', expectEd25519)

  it.skipIf(!haveVectors).each(haveVectors ? (vectors('rfc-small/rfc8032-ed25519.json') as Ed25519Case[]) : [])(
    'vectors/rfc-small: $msg',
    expectEd25519
  )
})

describe('the JWK thumbprint (RFC 7638)', () => {
  it('is the one that §3.1 prints', () => {
    expect(jwkThumbprint(rfc7638.jwk)).toBe(rfc7638.thumbprint)
  })

  it('is the one that RFC 8037 A.3 prints', () => {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
    expect(jwkThumbprint(jwk)).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k')
  })

  it.each([ed25519, p256, rsaPss])("is jose's, for $kty", async (jwk) => {
    const { publicJwk, keyId } = loadSigningKey({ key: jwk })
    expect(keyId).toBe(await calculateJwkThumbprint(publicJwk as never, 'sha256'))
    expect(publicJwk).toEqual(createPublicKey(createPrivateKey({ key: jwk, format: 'jwk' })).export({ format: 'jwk' }))
  })

  it
    .skipIf(!haveVectors)
    .each(haveVectors ? (vectors('jwk-thumbprint/vectors.json') as Array<{ name: string; jwk: string; thumbprint: string }>) : [])(
    'vectors/jwk-thumbprint: $name',
    ({ jwk, thumbprint }) => {
      expect(jwkThumbprint(JSON.parse(jwk))).toBe(thumbprint)
    }
  )
})

describe('Content-Digest (RFC 9530)', () => {
  it.each([...rfc9530, rfc9421Digest])('$alg of $body is the one printed', ({ body, alg, field }) => {
    expect(contentDigest(Buffer.from(body), [alg])).toBe(field)
    expect(() => checkContentDigest(field, Buffer.from(body))).not.toThrow()
    expect(() => checkContentDigest(field, Buffer.from(`${body}.`))).toThrow(expect.objectContaining({ code: 'MCPAUTH_SIGNATURE_INVALID' }))
  })

  it('counts every digest it knows and needs one', () => {
    const both = contentDigest(Buffer.from('x'), ['sha-256', 'sha-512'])
    expect(() => checkContentDigest(both, Buffer.from('x'))).not.toThrow()
    expect(() => checkContentDigest(`${both}, md5=:AAAA:`, Buffer.from('x'))).not.toThrow()
    const halfWrong = `${contentDigest(Buffer.from('x'))}, ${contentDigest(Buffer.from('y'), ['sha-512'])}`
    for (const field of [halfWrong, 'md5=:AAAA:', '', 'sha-256=1', 'sha-256=(:AA==:)', ':', 'sha-256=:AA==']) {
      expect(() => checkContentDigest(field, Buffer.from('x'))).toThrow(expect.objectContaining({ code: 'MCPAUTH_SIGNATURE_INVALID' }))
    }
  })

  it.skipIf(!haveVectors).each(haveVectors ? (vectors('rfc-small/rfc9530-digest.json') as typeof rfc9530) : [])(
    'vectors/rfc-small: $alg of $body',
    ({ body, alg, field }) => {
      expect(contentDigest(Buffer.from(body), [alg])).toBe(field)
    }
  )
})

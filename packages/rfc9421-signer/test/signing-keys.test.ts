import { createPublicKey, createSecretKey, generateKeyPairSync } from 'node:crypto'
import { channel } from 'node:diagnostics_channel'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { McpAuthError, secrets } from '@mcpauth/core'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withSignature } from '../src/index.ts'
import { type KeyOptions, loadSigningKey, loadVerificationKey } from '../src/signing-keys.ts'
import { ed25519, p256, rsaPss, sharedSecret } from './rfc9421-appendix-b.ts'

const pem = (type: 'ed25519' | 'rsa' | 'ec', options: object): string =>
  generateKeyPairSync(type as 'rsa', options as { modulusLength: number }).privateKey.export({ format: 'pem', type: 'pkcs8' }) as string
const ed25519Pem = pem('ed25519', {})

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mcpauth-keys-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function fileWith(text: string, mode = 0o600): string {
  const file = join(folder, `key-${Math.random()}`)
  writeFileSync(file, text)
  chmodSync(file, mode)
  return file
}

function errorOf(options: KeyOptions): McpAuthError {
  try {
    withSignature('https://mcp.example.com/mcp', options)
  } catch (error) {
    if (McpAuthError.is(error)) return error
    throw error
  }
  throw new Error('was accepted')
}

describe('a signing key', () => {
  it.each([
    ['PKCS#8 PEM', ed25519Pem, 'ed25519'],
    ['a JWK', JSON.stringify(ed25519), 'ed25519'],
    ['a JWK without its public half', JSON.stringify({ kty: 'OKP', crv: 'Ed25519', d: ed25519.d }), 'ed25519'],
    ['a seed in hex', Buffer.from(ed25519.d as string, 'base64url').toString('hex'), 'ed25519'],
    ['a seed in base64', `${Buffer.from(ed25519.d as string, 'base64url').toString('base64')}\n`, 'ed25519'],
    ['a seed in base64url', ed25519.d as string, 'ed25519'],
    ['an EC key', JSON.stringify(p256), 'ecdsa-p256-sha256'],
    ['a P-384 key', pem('ec', { namedCurve: 'secp384r1' }), 'ecdsa-p384-sha384'],
    ['an RSA key', JSON.stringify(rsaPss), 'rsa-pss-sha512'],
    ['an RSA JWK for RS256', JSON.stringify({ ...rsaPss, alg: 'RS256' }), 'rsa-v1_5-sha256'],
    ['an RSA JWK for PS512', JSON.stringify({ ...rsaPss, alg: 'PS512' }), 'rsa-pss-sha512']
  ])('is read from a file and from a variable: %s', (_, text, algorithm) => {
    const fromFile = loadSigningKey({ key: { file: fileWith(text) } })
    const fromVariable = loadSigningKey({ key: { env: 'KEY' }, env: { KEY: text } })
    expect(fromFile.algorithm).toBe(algorithm)
    expect(fromVariable.keyId).toBe(fromFile.keyId)
    expect(Object.keys(fromFile.publicJwk as object).filter((name) => ['d', 'p', 'q', 'k'].includes(name))).toEqual([])
    const base = Buffer.from('text')
    expect(
      loadVerificationKey({ key: fromFile.publicJwk ?? {}, algorithm: fromFile.algorithm }).verify(base, fromVariable.sign(base))
    ).toBe(true)
  })

  it('may be an rsa-pss key, whose thumbprint is that of an RSA key', () => {
    const { privateKey } = generateKeyPairSync('rsa-pss', { modulusLength: 2048 })
    const key = loadSigningKey({ key: privateKey })
    expect(key.publicJwk).toMatchObject({ kty: 'RSA' })
    expect(loadVerificationKey({ key: key.publicJwk ?? {} }).verify(Buffer.from('x'), key.sign(Buffer.from('x')))).toBe(true)
  })

  it('may be a shared secret in base64, as a JWK or as a KeyObject', () => {
    const bytes = Buffer.from(sharedSecret, 'base64')
    const keys = [
      loadSigningKey({ key: { env: 'S' }, env: { S: sharedSecret }, algorithm: 'hmac-sha256' }),
      loadSigningKey({ key: { kty: 'oct', k: bytes.toString('base64url') } }),
      loadSigningKey({ key: createSecretKey(bytes) })
    ]
    const [first] = keys.map(({ sign }) => sign(Buffer.from('x')).toString('hex'))
    for (const { sign, keyId } of keys) {
      expect(sign(Buffer.from('x')).toString('hex')).toBe(first)
      expect(keyId).toBeUndefined()
    }
  })

  it('is remembered as a secret as soon as it is read', () => {
    const seed = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }).d as string
    loadSigningKey({ key: { env: 'KEY' }, env: { KEY: seed } })
    expect(secrets.redact(`key ${seed}`)).not.toContain(seed)
    loadSigningKey({ key: { file: fileWith(ed25519Pem) } })
    expect(secrets.redact(ed25519Pem)).not.toContain('PRIVATE KEY')
  })

  it.each([
    ['an empty text', '', 'MCPAUTH_CREDENTIAL_MISSING'],
    ['no key', 'not a key at all', 'MCPAUTH_KEY_INVALID'],
    ['a seed of 31 bytes', Buffer.alloc(31, 7).toString('base64'), 'MCPAUTH_KEY_INVALID'],
    ['a broken PEM', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----', 'MCPAUTH_KEY_INVALID'],
    ['an encrypted PEM', '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----', 'MCPAUTH_KEY_INVALID'],
    [
      'a public PEM',
      createPublicKey({ key: ed25519, format: 'jwk' }).export({ format: 'pem', type: 'spki' }) as string,
      'MCPAUTH_KEY_INVALID'
    ],
    ['a public JWK', JSON.stringify({ ...ed25519, d: undefined }), 'MCPAUTH_KEY_INVALID'],
    ['broken JSON', '{"kty":"OKP","d":"secret-in-broken-json', 'MCPAUTH_KEY_INVALID'],
    ['a JWK of an unknown kind', '{"kty":"XYZ","d":"AAAA"}', 'MCPAUTH_KEY_INVALID'],
    ['a JWK for an algorithm RFC 9421 does not have', JSON.stringify({ ...rsaPss, alg: 'RSA-OAEP' }), 'MCPAUTH_KEY_INVALID'],
    [
      'a JWK with another public half',
      JSON.stringify({ ...ed25519, x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }),
      'MCPAUTH_KEY_INVALID'
    ],
    [
      'an RSA JWK whose parts do not belong together',
      JSON.stringify({ ...rsaPss, n: `z${(rsaPss.n as string).slice(1)}` }),
      'MCPAUTH_KEY_INVALID'
    ],
    ['an RSA key of 1536 bits', pem('rsa', { modulusLength: 1536 }), 'MCPAUTH_KEY_INVALID'],
    ['a curve RFC 9421 does not have', pem('ec', { namedCurve: 'secp521r1' }), 'MCPAUTH_KEY_INVALID'],
    ['an X25519 key', generateKeyPairSync('x25519').privateKey.export({ format: 'pem', type: 'pkcs8' }) as string, 'MCPAUTH_KEY_INVALID']
  ])('is refused at construction: %s', (_, text, code) => {
    const error = errorOf({ key: { env: 'KEY' }, env: { KEY: text } })
    expect(error.code).toBe(code)
    expect(error.message).toContain('KEY')
    const shown = inspect(error, { showHidden: true, depth: 9 })
    for (const part of text.split(/[\s"]+/)) if (part.length > 12 && !/^-+|KEY-+$/.test(part)) expect(shown).not.toContain(part)
  })

  it.each([
    ['ed25519', rsaPss],
    ['rsa-pss-sha512', ed25519],
    ['rsa-v1_5-sha256', p256],
    ['ecdsa-p384-sha384', p256],
    ['hmac-sha256', ed25519],
    ['rsa-v1_5-sha256', { ...rsaPss, alg: 'PS512' }],
    ['hmac-sha256', { kty: 'oct', k: 'c2hvcnQ' }]
  ] as const)('is refused for %s when it is another kind of key', (algorithm, key) => {
    expect(errorOf({ key, algorithm }).code).toBe('MCPAUTH_KEY_INVALID')
  })

  it('is refused when its option says neither where it is nor what it is', () => {
    for (const key of [undefined, null, 'secret-as-text', 7, {}, { file: 7 }] as never[]) {
      expect(errorOf({ key }).code).toBe('MCPAUTH_INVALID_OPTION')
      expect(errorOf({ key }).message).not.toContain('secret-as-text')
    }
    expect(errorOf({ key: ed25519, algorithm: 'none' as never }).code).toBe('MCPAUTH_INVALID_OPTION')
    expect(errorOf({ key: { env: 'UNSET' }, env: {} }).code).toBe('MCPAUTH_CREDENTIAL_MISSING')
    const missing = errorOf({ key: { file: join(folder, 'none.pem') } })
    expect(missing).toMatchObject({ code: 'MCPAUTH_CREDENTIAL_MISSING', message: expect.stringContaining('none.pem') })
  })

  it('never makes construction throw anything but our error, whatever the text', () => {
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc.base64String(),
      fc.string().map((s) => `-----BEGIN ${s}`),
      fc.object().map((o) => JSON.stringify({ kty: 'OKP', ...o }))
    )
    fc.assert(
      fc.property(text, (KEY) => {
        try {
          loadSigningKey({ key: { env: 'KEY' }, env: { KEY } })
        } catch (error) {
          expect(McpAuthError.is(error)).toBe(true)
        }
      })
    )
  })
})

describe.skipIf(process.platform === 'win32')('T23: a key file that others can read', () => {
  it.each([
    [0o600, undefined],
    [0o400, undefined],
    [0o640, '0640'],
    [0o644, '0644'],
    [0o604, '0604']
  ])('mode %o', (mode, reported) => {
    const warnings: unknown[] = []
    const listen = (warning: unknown): void => void warnings.push(warning)
    channel('mcpauth:key:warning').subscribe(listen)
    const file = fileWith(ed25519Pem, mode)
    withSignature('https://mcp.example.com/mcp', { key: { file } })
    channel('mcpauth:key:warning').unsubscribe(listen)
    expect(warnings).toEqual(reported === undefined ? [] : [expect.objectContaining({ file, mode: reported })])
  })
})

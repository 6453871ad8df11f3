import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { inspect } from 'node:util'
import { McpAuthError } from '@mcpauth/core'
import { beforeAll, describe, expect, test } from 'vitest'
import { type MtlsOptions, withMtls } from '../src/index.ts'
import { type Authority, createAuthority, type IssuedCertificate } from './certificates.ts'
import { temporaryFolder } from './temporary-folder.ts'

const url = 'https://mcp.example.com/mcp'
let authority: Authority
let client: IssuedCertificate
let other: IssuedCertificate

beforeAll(async () => {
  authority = await createAuthority('clients')
  client = await authority.issue({ commonName: 'client-one' })
  other = await authority.issue({ commonName: 'client-two' })
})

function refusal(options: MtlsOptions, server = url): McpAuthError {
  try {
    withMtls(server, options)
  } catch (error) {
    if (McpAuthError.is(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

/** Lines of base64 that only the content of a PEM file has. */
function quotesContent(error: McpAuthError): boolean {
  const shown = inspect(error, { showHidden: true, depth: 9 })
  return [client, other]
    .flatMap(({ cert, key }) => [...cert.split('\n'), ...key.split('\n')])
    .some((line) => line.length > 30 && !line.startsWith('-') && shown.includes(line))
}

describe('a file that cannot be used is named, with what is wrong and without its content', () => {
  const whole = () => ({ cert: client.cert, key: client.key })
  const damaged = (pem: string) => pem.replace(/\n[A-Za-z0-9+/]{40}/, '\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA')
  const openssl = (key: string) => createPublicKey(key).export({ type: 'spki', format: 'pem' }) as string

  const cases: Array<[fact: string, file: 'cert' | 'key' | 'ca', content: () => Promise<Record<string, string>> | Record<string, string>]> =
    [
      ['holds no certificate', 'cert', () => ({ ...whole(), cert: 'nothing' })],
      ['holds no certificate', 'cert', () => ({ ...whole(), cert: '' })],
      ['holds a private key and no certificate', 'cert', () => ({ cert: client.key, key: client.key })],
      ['holds a certificate (number 1) that cannot be parsed', 'cert', () => ({ ...whole(), cert: damaged(client.cert) })],
      ['holds a certificate (number 2) that cannot be parsed', 'cert', () => ({ ...whole(), cert: client.cert + damaged(other.cert) })],
      ['holds no private key', 'key', () => ({ ...whole(), key: 'nothing' })],
      ['holds a certificate and no private key', 'key', () => ({ ...whole(), key: client.cert })],
      ['holds a public key in the place of a private one', 'key', () => ({ ...whole(), key: openssl(client.key) })],
      ['holds a private key that cannot be parsed', 'key', () => ({ ...whole(), key: damaged(client.key) })],
      ['is encrypted, and there is no passphrase', 'key', () => ({ ...whole(), key: encryptedKey('pkcs8') })],
      ['is encrypted, and there is no passphrase', 'key', () => ({ ...whole(), key: encryptedKey('pkcs1') })],
      ['does not fit the certificate of', 'key', () => ({ ...whole(), key: other.key })],
      ['does not fit the certificate of', 'key', () => ({ ...whole(), key: rsaKey() })],
      ['does not begin with the certificate of its key', 'cert', () => ({ ...whole(), cert: authority.cert + client.cert })],
      [
        'expired on',
        'cert',
        () => authority.issue({ commonName: 'old', notAfter: new Date(Date.now() - 3_600_000) }).then((issued) => ({ ...issued }))
      ],
      [
        'is not valid before',
        'cert',
        () => authority.issue({ commonName: 'new', notBefore: new Date(Date.now() + 3_600_000) }).then((issued) => ({ ...issued }))
      ],
      ['holds no certificate', 'ca', () => ({ ...whole(), ca: 'nothing' })],
      ['holds a private key and no certificate', 'ca', () => ({ ...whole(), ca: client.key })],
      ['is larger than 4096 KiB', 'ca', () => ({ ...whole(), ca: 'x'.repeat(4 * 1024 * 1024 + 1) })]
    ]

  test.each(cases)('%s (%s)', async (fact, named, content) => {
    const files = temporaryFolder()
    const options: MtlsOptions = {}
    const paths: Record<string, string> = {}
    for (const [name, text] of Object.entries(await content())) {
      paths[name] = files.write(`${name}.pem`, text)
      Object.assign(options, { [name]: { file: paths[name] } })
    }
    const error = refusal(options)
    expect(error.code).toBe('MCPAUTH_CERTIFICATE_INVALID')
    expect(error.message).toContain(`the file ${paths[named]}`)
    expect(error.message).toContain(fact)
    expect(quotesContent(error)).toBe(false)
  })

  test('a passphrase that does not open the key', () => {
    const environment = { CERT: client.cert, KEY: encryptedKey('pkcs8'), PASS: 'canary-wrong' }
    const error = refusal({ cert: { env: 'CERT' }, key: { env: 'KEY' }, passphrase: { env: 'PASS' }, env: environment })
    expect(error.message).toBe('the environment variable KEY does not open with the passphrase given')
    expect(inspect(error, { showHidden: true })).not.toContain('canary-wrong')
  })

  test('a file that is not there, or a folder', () => {
    const { path } = temporaryFolder()
    expect(refusal({ ca: { file: `${path}/absent.pem` } }).message).toContain(`the file ${path}/absent.pem cannot be read (ENOENT)`)
    expect(refusal({ ca: { file: path } }).message).toContain('is not a file')
  })

  test('a variable that is not set', () => {
    const error = refusal({ ca: { env: 'CA' }, env: {} })
    expect([error.code, error.message]).toEqual(['MCPAUTH_CREDENTIAL_MISSING', 'the environment variable CA is not set'])
  })

  test('a key too short for OpenSSL', async () => {
    const keyAlgorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 512, publicExponent: new Uint8Array([1, 0, 1]) }
    const shortCertificate = await authority.issue({ commonName: 'short', keyAlgorithm })
    const error = refusal({
      cert: { env: 'CERT' },
      key: { env: 'KEY' },
      env: { CERT: shortCertificate.cert, KEY: shortCertificate.key }
    })
    expect(error.code).toBe('MCPAUTH_CERTIFICATE_INVALID')
    expect(error.message).toContain('is refused by OpenSSL (ERR_SSL_EE_KEY_TOO_SMALL)')
  })

  function encryptedKey(type: 'pkcs8' | 'pkcs1'): string {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    return privateKey.export({ type, format: 'pem', cipher: 'aes-256-cbc', passphrase: 'canary-right' }) as string
  }

  function rsaKey(): string {
    return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  }
})

describe('options', () => {
  const identity = (): MtlsOptions => ({ cert: { env: 'CERT' }, key: { env: 'KEY' }, env: { CERT: client.cert, KEY: client.key } })

  test('that can be used are taken', () => {
    withMtls(url, identity())
    withMtls(url, { minVersion: 'TLSv1.3' })
    withMtls(url, { ...identity(), also: ['https://login.example.com/'], serverName: 'mcp.internal' })
  })

  test.each([
    ['nothing at all', {}, 'options'],
    ['no object', 'canary literal', 'options'],
    ['another origin that is no URL', { minVersion: 'TLSv1.3', also: ['canary literal'] }, 'also'],
    ['a certificate without a key', { cert: { env: 'CERT' } }, 'key'],
    ['a key without a certificate', { key: { env: 'KEY' } }, 'cert'],
    ['a literal in the place of a source', { ca: 'canary literal' }, 'ca'],
    ['a source of two kinds', { ca: { file: 'a', env: 'B' } }, 'ca'],
    ['a source of no kind', { ca: {} }, 'ca'],
    ['an empty path', { ca: { file: '' } }, 'ca.file'],
    ['a PEM text in the place of a variable', { ca: { env: 'canary literal' } }, 'ca.env'],
    ['an old TLS', { minVersion: 'TLSv1' }, 'minVersion'],
    ['an address as server name', { serverName: '10.0.0.1' }, 'serverName'],
    ['a server name with a line break', { serverName: 'a\nb' }, 'serverName'],
    ['a mode that is none', { ca: { env: 'CA' }, caMode: 'instead' }, 'caMode'],
    ['a replacement by nothing', { minVersion: 'TLSv1.3', caMode: 'replace' }, 'caMode'],
    ['another origin without TLS', { minVersion: 'TLSv1.3', also: ['http://127.0.0.1/'] }, 'also'],
    ['a passphrase that is a literal', { minVersion: 'TLSv1.3', passphrase: 'canary literal' }, 'passphrase.env']
  ])('%s is refused, by name', (_, options, name) => {
    const error = refusal(options as unknown as MtlsOptions)
    expect(error.code).toBe('MCPAUTH_INVALID_OPTION')
    expect(error.message).toMatch(new RegExp(`^option ${name.replace('.', '\\.')}: `))
    expect(inspect(error)).not.toContain('canary literal')
  })

  test('a server without TLS is refused, also on this machine', () => {
    expect(refusal({ minVersion: 'TLSv1.3' }, 'http://127.0.0.1:1/mcp').message).toContain('is not https')
  })
})

import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { authFetch, McpAuthError } from '@mcpauth/core'
import { type MtlsOptions, withMtls } from '@mcpauth/mtls'
import { type KeySource, keyDirectory } from '@mcpauth/rfc9421-signer'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Authority, createAuthority, type IssuedCertificate } from '../../packages/mtls/test/certificates.ts'
import { tlsServer } from '../../packages/mtls/test/tls-server.ts'
import { createCanary, everythingOf, leaksIn } from './canary.ts'
import { temporaryFolders } from './hostile-stores.ts'
import { type Sinks, watchSinks } from './sinks.ts'

const folders = temporaryFolders()
let servers: Authority
let clients: Authority
let serverCertificate: IssuedCertificate
let sinks: Sinks
beforeAll(async () => {
  ;[servers, clients] = await Promise.all([createAuthority('servers'), createAuthority('clients')])
  serverCertificate = await servers.issue({ commonName: 'localhost', hosts: ['localhost', '127.0.0.1'] })
})
afterAll(() => folders[Symbol.dispose]())
beforeEach(() => {
  sinks = watchSinks()
})
afterEach(() => sinks[Symbol.dispose]())

/** The base64 of a PEM key, without the lines that every key has. */
const bodyOf = (pem: string): string => pem.replace(/-----[^-]*-----|\s/g, '').slice(40)

interface ClientKey {
  readonly options: MtlsOptions
  readonly canaries: Readonly<Record<string, string>>
}

function write(name: string, content: string, mode = 0o600): string {
  const file = join(folders.make(), name)
  writeFileSync(file, content, { mode })
  chmodSync(file, mode)
  return file
}

/** A client certificate, in the ways in which a program may give one. */
const ways: Record<string, (client: IssuedCertificate) => ClientKey> = {
  'in variables': ({ cert, key }) => ({
    options: { cert: { env: 'CERT' }, key: { env: 'KEY' }, env: { CERT: cert, KEY: key, CA: servers.cert } },
    canaries: { key: bodyOf(key) }
  }),
  'in files that others may read': ({ cert, key }) => ({
    options: { cert: { file: write('cert.pem', cert, 0o644) }, key: { file: write('key.pem', key, 0o644) }, env: { CA: servers.cert } },
    canaries: { key: bodyOf(key) }
  }),
  'encrypted with a passphrase': ({ cert, key }) => {
    const passphrase = createCanary('passphrase')
    const sealed = createPrivateKey(key).export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase }) as string
    return {
      options: {
        cert: { env: 'CERT' },
        key: { env: 'KEY' },
        passphrase: { env: 'PASS' },
        env: { CERT: cert, KEY: sealed, PASS: passphrase, CA: servers.cert }
      },
      canaries: { passphrase, sealed: bodyOf(sealed), key: bodyOf(key) }
    }
  }
}

describe.each(Object.entries(ways))('T13, T23: a client key %s leaks nothing', (_title, way) => {
  async function exercise(options: MtlsOptions, url: string): Promise<{ seen: string; code: string | undefined }> {
    let thrown: unknown
    let layer: unknown
    let fetch: ReturnType<typeof authFetch> | undefined
    try {
      layer = withMtls(url, { ca: { env: 'CA' }, ...options })
      fetch = authFetch(layer as never)
      await (await fetch(url, { method: 'POST', body: '{}' })).text()
    } catch (error) {
      thrown = error
    }
    await fetch?.[Symbol.asyncDispose]()
    return {
      seen: [thrown, layer, fetch].map(everythingOf).join('\n') + sinks.text(),
      code: McpAuthError.is(thrown) ? thrown.code : thrown === undefined ? undefined : String(thrown)
    }
  }

  test('when the server takes it, refuses it, is not trusted, or drops the connection', async () => {
    const client = await clients.issue({ commonName: 'client' })
    const { options, canaries } = way(client)
    const trusting = await tlsServer({ ...serverCertificate, ca: clients.cert, rejectUnauthorized: true })
    const refusing = await tlsServer({ ...serverCertificate, ca: servers.cert, rejectUnauthorized: true })
    const strange = await tlsServer({ ...(await clients.issue({ commonName: 'localhost', hosts: ['localhost'] })) })
    const dropping = await tlsServer({ ...serverCertificate }, (response) => response.destroy())
    const codes: unknown[] = []
    for (const { url } of [trusting, refusing, strange, dropping]) {
      const { seen, code } = await exercise(options, url)
      codes.push(code)
      expect(leaksIn(seen, canaries)).toEqual([])
    }
    expect(codes.slice(0, 3)).toEqual([undefined, 'MCPAUTH_TLS', 'MCPAUTH_TLS'])
    expect(codes[3]).toBeDefined()
    expect(trusting.seen.map(({ client: name }) => name)).toEqual(['client'])
  })

  test('when the certificate is for another key, has expired, or the passphrase is wrong', async () => {
    const client = await clients.issue({ commonName: 'client' })
    const other = await clients.issue({ commonName: 'other' })
    const past = new Date(Date.now() - 3_600_000)
    const expired = await clients.issue({ commonName: 'expired', notAfter: past, notBefore: new Date(past.getTime() - 3_600_000) })
    const wrong = createCanary('wrong')
    for (const given of [way({ cert: other.cert, key: client.key }), way(expired), way({ cert: 'no certificate', key: client.key })]) {
      const { seen, code } = await exercise(given.options, 'https://localhost:1/mcp')
      expect(code).toBe('MCPAUTH_CERTIFICATE_INVALID')
      expect(leaksIn(seen, given.canaries)).toEqual([])
    }
    const { options, canaries } = way(client)
    if (!options.passphrase) return
    const { seen, code } = await exercise({ ...options, env: { ...options.env, PASS: wrong } }, 'https://localhost:1/mcp')
    expect(code).toBe('MCPAUTH_CERTIFICATE_INVALID')
    expect(leaksIn(seen, { ...canaries, wrong })).toEqual([])
  })
})

const seed = randomBytes(32)
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const ecJwk = ec.export({ format: 'jwk' }) as { d: string }
const rsaPem = rsa.export({ format: 'pem', type: 'pkcs8' }) as string
const directoryKeys: Record<string, { source: KeySource; env?: Record<string, string>; canaries: Record<string, string> }> = {
  'a seed in hexadecimal': { source: { env: 'K' }, env: { K: seed.toString('hex') }, canaries: { seed: seed.toString('base64url') } },
  'a JWK': { source: { ...ecJwk, kty: 'EC' } as never, canaries: { d: ecJwk.d } },
  'a JWK with members of its own': { source: { ...ecJwk, secret: ecJwk.d, oth: [ecJwk.d] } as never, canaries: { d: ecJwk.d } },
  'a KeyObject': { source: ec, canaries: { d: ecJwk.d } },
  'an RSA key in a variable': {
    source: { env: 'K' },
    env: { K: rsaPem },
    canaries: Object.fromEntries(
      Object.entries(rsa.export({ format: 'jwk' }) as Record<string, string>).filter(([name]) => /^(d|p|q|dp|dq|qi)$/.test(name))
    )
  }
}

test.each(Object.entries(directoryKeys))(
  'T13: a key directory made from %s shows its public half alone',
  (_title, { source, env, canaries }) => {
    const directory = keyDirectory([{ key: source, ...(env ? { env } : {}) }])
    const answer = directory.respond('agent.example.com')
    expect(JSON.parse(answer.body).keys).toHaveLength(1)
    expect(leaksIn([directory, directory.jwks, answer].map(everythingOf).join('\n') + sinks.text(), canaries)).toEqual([])
  }
)

test('T13: a shared secret is not published, and the refusal does not quote it', () => {
  const secret = randomBytes(32).toString('base64')
  let thrown: unknown
  try {
    keyDirectory([{ key: { env: 'K' }, env: { K: secret }, algorithm: 'hmac-sha256' }])
  } catch (error) {
    thrown = error
  }
  expect(McpAuthError.is(thrown)).toBe(true)
  expect(leaksIn(everythingOf(thrown), { secret })).toEqual([])
})

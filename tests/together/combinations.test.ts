import { generateKeyPairSync } from 'node:crypto'
import { withBearer } from '@mcpauth/bearer-env'
import { compose, type Interceptor } from '@mcpauth/core'
import { withHeaders } from '@mcpauth/header-injector'
import { withMtls } from '@mcpauth/mtls'
import { oauthTokens, withOAuth } from '@mcpauth/oauth'
import { withSignature, withWebBotAuth } from '@mcpauth/rfc9421-signer'
import { withSigV4 } from '@mcpauth/sigv4'
import { memoryStore } from '@mcpauth/token-store'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Authority, createAuthority, type IssuedCertificate } from '../../packages/mtls/test/certificates.ts'
import { headersOf } from '../../packages/sigv4/test/reference-signature.ts'
import { type AuthorizationServer, startAuthorizationServer, startMcpServerV1 } from '../servers/index.ts'
import { awsServer } from '../sigv4/aws-server.ts'
import { connect, type Way } from '../wire/clients.ts'
import { scriptedLogin } from '../wire/roads.ts'
import { forwardWire, startTlsOrigin, startVerifyingOrigin, valuesOf } from './doors.ts'

const ways: Way[] = [
  { sdk: 'v1', transport: 'http' },
  { sdk: 'v2', transport: 'http' }
]
const { privateKey, publicKey } = generateKeyPairSync('ed25519')

let authority: Authority
let serverCertificate: IssuedCertificate
let clientCertificate: IssuedCertificate
let as: AuthorizationServer

beforeAll(async () => {
  authority = await createAuthority('together')
  serverCertificate = await authority.issue({ commonName: 'localhost', hosts: ['localhost'] })
  clientCertificate = await authority.issue({ commonName: 'the-agent' })
  as = await startAuthorizationServer()
})
afterAll(() => as[Symbol.asyncDispose]())

const env = (): Record<string, string> => ({
  CERT: clientCertificate.cert,
  KEY: clientCertificate.key,
  CA: authority.cert,
  TOKEN: 'the-static-bearer-token'
})
const withCertificate = (url: URL): Interceptor =>
  withMtls(url, { cert: { env: 'CERT' }, key: { env: 'KEY' }, ca: { env: 'CA' }, env: env() })

describe.each(ways)('through SDK $sdk', (way) => {
  test('mTLS and a bearer token: the server sees the certificate and the token', async () => {
    await using origin = await startTlsOrigin({ ...serverCertificate, clientCa: authority.cert })
    const server = await startMcpServerV1({ origin, bearerToken: 'the-static-bearer-token' })
    await using client = await connect(
      way,
      server.url,
      compose([withBearer(server.url, { env: 'TOKEN', environment: env() }), withCertificate(server.url)])
    )
    expect(await client.call('echo', { text: 'hello' })).toBe('hello')
    expect([...origin.clients]).toEqual(['the-agent'])
  })

  test('mTLS and OAuth: the login, a refusal in between and the replay all go through the certificate', async () => {
    await using origin = await startTlsOrigin({ ...serverCertificate, clientCa: authority.cert })
    const server = await startMcpServerV1({ origin, authorizationServer: as })
    const tokens = oauthTokens(server.url, { store: memoryStore(), login: scriptedLogin(as) })
    await using client = await connect(way, server.url, compose([withOAuth(server.url, tokens), withCertificate(server.url)]))
    as.ledger.reset()
    server.expire()
    expect(await client.call('echo', { text: 'again' })).toBe('again')
    expect(as.ledger.refreshes).toBe(1)
    expect([...origin.clients]).toEqual(['the-agent'])
  })

  test('SigV4 and headers: the headers are under the signature, and an ended session is renewed and signed anew', async () => {
    await using door = await awsServer([
      ['AKIAFIRST', 'first-secret-access-key'],
      ['AKIASECOND', 'second-secret-access-key']
    ])
    await using server = await startMcpServerV1({ requiredHeaders: { 'x-tenant': 'acme' } })
    door.behind = (wire, response) => forwardWire(wire, response, server.url)
    const url = new URL('/mcp', door.origin)
    let session = 1
    const credentials = () => ({
      accessKeyId: session === 1 ? 'AKIAFIRST' : 'AKIASECOND',
      secretAccessKey: session === 1 ? 'first-secret-access-key' : 'second-secret-access-key',
      sessionToken: `session-token-number-${session}`
    })
    const layers = [
      withHeaders(url, { 'X-Tenant': 'acme' }),
      withSigV4(url, { region: 'eu-central-1', service: 'execute-api', credentials })
    ]
    await using client = await connect(way, url, compose(layers))
    session = 2
    door.expired.add('session-token-number-1')
    expect(await client.call('echo', { text: 'signed' })).toBe('signed')
    const last = door.received.filter(({ method }) => method === 'POST').at(-1)
    expect(headersOf(last as never).get('authorization')?.[0]).toMatch(/AKIASECOND.*SignedHeaders=[^,]*x-tenant/)
  })

  test.each([
    ['Web Bot Auth', (url: URL) => withWebBotAuth(url, { key: privateKey, components: ['@authority', 'authorization'] })],
    ['RFC 9421', (url: URL) => withSignature(url, { key: privateKey, components: ['@method', '@target-uri', 'x-tenant', 'authorization'] })]
  ])(
    '%s, OAuth and headers: after a refusal the replay is signed anew, with the new token under the signature and a fresh nonce',
    async (_name, signed) => {
      await using origin = await startVerifyingOrigin('/mcp', { keys: [{ key: publicKey }], required: ['authorization'] })
      const server = await startMcpServerV1({ origin, authorizationServer: as, requiredHeaders: { 'x-tenant': 'acme' } })
      // The first request of a login carries no token, so there is nothing to sign: the token is there before the client connects.
      const tokens = oauthTokens(server.url, { store: memoryStore(), login: scriptedLogin(as) })
      await tokens.login()
      origin.refused.length = 0
      await using client = await connect(
        way,
        server.url,
        compose([withHeaders(server.url, { 'X-Tenant': 'acme' }), withOAuth(server.url, tokens), signed(server.url)])
      )
      as.ledger.reset()
      const before = server.requests.length
      server.expire()
      expect(await client.call('echo', { text: 'signed' })).toBe('signed')
      expect(as.ledger.refreshes).toBe(1)
      const calls = server.requests.slice(before).filter(({ method }) => method === 'POST')
      expect(calls).toHaveLength(2)
      for (const name of ['authorization', 'signature', 'signature-input']) expect(new Set(valuesOf(calls, name)).size).toBe(2)
      expect(origin.refused).toEqual([])
    }
  )
})

import { inspect } from 'node:util'
import { withBearer } from '@mcpauth/bearer-env'
import { authFetch, compose, type FetchLike, McpAuthError } from '@mcpauth/core'
import { type MtlsOptions, withMtls } from '@mcpauth/mtls'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Authority, createAuthority, type IssuedCertificate } from '../../packages/mtls/test/certificates.ts'
import { startMcpServerV1 } from '../servers/index.ts'
import { connect } from '../wire/clients.ts'
import { hasNginx, startNginx } from './nginx.ts'

let servers: Authority
let clients: Authority
let certificate: IssuedCertificate
let nginx: Awaited<ReturnType<typeof startNginx>>

/** A fetch that trusts the server, with what `options` add. */
async function fetchWith(options: MtlsOptions, client?: IssuedCertificate, url = nginx.url): Promise<FetchLike> {
  const environment = { CA: servers.cert, TOKEN: 'token-one', ...(client ? { CERT: client.cert, KEY: client.key } : {}) }
  const identity: MtlsOptions = client ? { cert: { env: 'CERT' }, key: { env: 'KEY' } } : {}
  const send = authFetch([
    withBearer(url, { env: 'TOKEN', environment }),
    withMtls(url, { ...identity, ca: { env: 'CA' }, env: environment, ...options })
  ])
  onTestFinished(() => send[Symbol.asyncDispose]())
  return send
}

async function failure(work: Promise<unknown>): Promise<McpAuthError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason
  )
  if (!McpAuthError.is(error)) throw new Error(`expected an McpAuthError, got ${inspect(error)}`)
  return error
}

describe.skipIf(!hasNginx)('nginx with ssl_verify_client on (needs the package nginx-light)', () => {
  beforeAll(async () => {
    ;[servers, clients] = await Promise.all([createAuthority('servers'), createAuthority('clients')])
    certificate = await servers.issue({ commonName: 'localhost', hosts: ['localhost'] })
    nginx = await startNginx({ ...certificate, clientCa: clients.cert })
  })
  afterAll(() => nginx?.stop())

  test('takes the client certificate, and the bearer token on the same connection', async () => {
    const send = await fetchWith({}, await clients.issue({ commonName: 'client-one' }))
    const answer = await send(nginx.url, { method: 'POST', body: '{}' })
    expect(await answer.text()).toBe('CN=client-one Bearer token-one')
  })

  test('demands a certificate: a typed error', async () => {
    const send = await fetchWith({})
    const error = await failure(send(nginx.url, { method: 'POST', body: '{}' }))
    expect([error.code, error.message]).toEqual(['MCPAUTH_TLS', `${new URL(nginx.url).origin}: the server demands a client certificate`])
  })

  test('refuses a certificate of another authority: a typed error', async () => {
    const send = await fetchWith({}, await (await createAuthority('strangers')).issue({ commonName: 'stranger' }))
    const error = await failure(send(nginx.url, { method: 'POST', body: '{}' }))
    expect(error.code).toBe('MCPAUTH_TLS')
    expect(error.message).toContain('refused the client certificate')
  })

  test('that speaks only TLS 1.2 is refused by a higher minimum', async () => {
    const old = await startNginx({ ...certificate, clientCa: clients.cert, directives: ['ssl_protocols TLSv1.2;'] })
    onTestFinished(() => old.stop())
    const client = await clients.issue({ commonName: 'client-one' })
    const answer = await (await fetchWith({}, client, old.url))(old.url)
    expect(await answer.text()).toContain('CN=client-one')
    const strict = await fetchWith({ minVersion: 'TLSv1.3' }, client, old.url)
    const error = await failure(strict(old.url))
    expect(error.message).toContain('no TLS version in common')
  })

  test.each([
    ['v1', 'json'],
    ['v1', 'sse'],
    ['v2', 'json'],
    ['v2', 'sse']
  ] as const)('before an MCP server: SDK %s, answers as %s, a token that is rotated on the way', async (sdk, answers) => {
    await using mcp = await startMcpServerV1({ bearerToken: 'token-two', answers })
    const gateway = await startNginx({ ...certificate, clientCa: clients.cert, upstream: mcp.origin.url.origin })
    onTestFinished(() => gateway.stop())
    const client = await clients.issue({ commonName: 'client-one' })
    const env = { CERT: client.cert, KEY: client.key, CA: servers.cert }
    const tokens = ['token-one']
    const url = new URL(gateway.url)
    const layers = compose([
      withBearer(url, { get: () => tokens.shift() ?? 'token-two' }),
      withMtls(url, { cert: { env: 'CERT' }, key: { env: 'KEY' }, ca: { env: 'CA' }, env })
    ])
    await using wire = await connect({ sdk, transport: 'http' }, url, layers)
    expect(await wire.call('echo', { text: 'through the tunnel' })).toBe('through the tunnel')
    expect(mcp.refusals.POST).toBe(1)
    expect(new Set(mcp.requests.map(({ headers }) => headers['x-client']))).toEqual(new Set(['CN=client-one']))
  })
})

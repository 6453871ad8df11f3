import { type AuthFetch, authFetch, McpAuthError } from '@mcpauth/core'
import { type MtlsOptions, withMtls } from '@mcpauth/mtls'
import { clientCredentials, withOAuth } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { Agent } from 'undici'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { type Authority, createAuthority, type IssuedCertificate } from '../../packages/mtls/test/certificates.ts'
import { type CertificateBoundServers, clientId, startCertificateBoundServers } from './certificate-bound-servers.ts'

let serverAuthority: Authority
let clientAuthority: Authority
let robot: IssuedCertificate
let servers: CertificateBoundServers

beforeAll(async () => {
  ;[serverAuthority, clientAuthority] = await Promise.all([createAuthority('servers'), createAuthority('clients')])
  robot = await clientAuthority.issue({ commonName: 'robot' })
  servers = await startCertificateBoundServers(
    await serverAuthority.issue({ commonName: 'localhost', hosts: ['localhost'] }),
    clientAuthority.cert
  )
})
afterAll(() => servers?.close())
beforeEach(() => {
  for (const visits of [servers.atMcpServer, servers.atIssuer, servers.atAlias]) visits.length = 0
})

/** The dispatcher behind the layers trusts the servers and has no certificate. */
function fetchWith(options: MtlsOptions): AuthFetch {
  const dispatcher = new Agent({ connect: { ca: serverAuthority.cert } })
  const { url, issuer } = servers
  const oauth = withOAuth(url, {
    client: { clientId, issuer, tokenEndpointAuthMethod: 'tls_client_auth' },
    grant: clientCredentials(),
    store: memoryStore()
  })
  const env = { CERT: robot.cert, KEY: robot.key, CA: serverAuthority.cert }
  const send = authFetch([oauth, withMtls(url, { cert: { env: 'CERT' }, key: { env: 'KEY' }, ca: { env: 'CA' }, env, ...options })], {
    dispatcher: dispatcher as never
  })
  onTestFinished(async () => {
    await send[Symbol.asyncDispose]()
    await dispatcher.destroy()
  })
  return send
}

const clients = {
  v1: async (fetch: AuthFetch) => {
    const client = new ClientV1({ name: 'test', version: '1.0.0' })
    await client.connect(new HttpV1(new URL(servers.url), { fetch }) as never)
    return client
  },
  v2: async (fetch: AuthFetch) => {
    const client = new ClientV2({ name: 'test', version: '1.0.0' })
    await client.connect(new HttpV2(new URL(servers.url), { fetch }))
    return client
  }
}

test.each(['v1', 'v2'] as const)('N43: tokens bound to the certificate work through SDK %s, before and after a 401', async (sdk) => {
  const client = await clients[sdk](fetchWith({ also: [servers.aliasOrigin] }))
  const call = async () => ((await client.callTool({ name: 'hello', arguments: {} })) as { content: unknown }).content
  expect(await call()).toEqual([{ type: 'text', text: 'hello' }])
  servers.expire()
  expect(await call()).toEqual([{ type: 'text', text: 'hello' }])
  await client.close()

  expect(servers.atAlias.map(({ path, client: shown }) => [path, shown])).toEqual([
    ['/token', 'robot'],
    ['/token', 'robot']
  ])
  expect(new Set(servers.atMcpServer.map(({ client: shown }) => shown))).toEqual(new Set(['robot']))
  // The issuer is another origin and is not named in also.
  expect(servers.atIssuer.length).toBeGreaterThan(0)
  expect(new Set(servers.atIssuer.map(({ client: shown }) => shown))).toEqual(new Set([undefined]))
})

test('N43: without also, the authorization server sees no certificate and gives no token', async () => {
  const error = await fetchWith({})(servers.url, { method: 'POST', body: '{}' }).then(
    () => undefined,
    (reason: unknown) => reason
  )
  expect(McpAuthError.is(error)).toBe(true)
  expect(servers.atAlias.map(({ client }) => client)).toEqual([undefined])
})

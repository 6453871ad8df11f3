import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js'
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { expect, test } from 'vitest'
import {
  type AuthorizationServer,
  approve,
  directLogin,
  directRefresh,
  postForm,
  startAuthorizationServer,
  startMcpServerV1,
  startMcpServerV2,
  startOrigin,
  startRecordingServer
} from './index.ts'

const info = { name: 'test', version: '1' }
const bearer = (token: string) => ({ requestInit: { headers: { authorization: `Bearer ${token}` } } })

async function connectV1(url: URL, token: string): Promise<ClientV1> {
  const client = new ClientV1(info)
  await client.connect(new HttpV1(url, bearer(token)) as Transport)
  return client
}

async function connectV2(url: URL, token: string): Promise<ClientV2> {
  const client = new ClientV2(info)
  await client.connect(new HttpV2(url, bearer(token)))
  return client
}

const firstText = (result: unknown): string => (result as { content: Array<{ text: string }> }).content[0]?.text ?? ''

test('the authorization server publishes RFC 8414 metadata with S256 and iss', async () => {
  await using as = await startAuthorizationServer()
  const metadata = await (await fetch(`${as.issuer}/.well-known/oauth-authorization-server`)).json()
  expect(metadata).toMatchObject({
    issuer: as.issuer,
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
    registration_endpoint: `${as.issuer}/reg`,
    revocation_endpoint: `${as.issuer}/token/revocation`
  })
  expect(await (await fetch(`${as.issuer}/.well-known/openid-configuration`)).json()).toEqual(metadata)
})

test('the metadata can say another thing', async () => {
  await using as = await startAuthorizationServer({
    metadata: { code_challenge_methods_supported: undefined, issuer: 'https://other.example' }
  })
  const metadata = (await (await fetch(`${as.issuer}/.well-known/oauth-authorization-server`)).json()) as Record<string, unknown>
  expect(metadata).not.toHaveProperty('code_challenge_methods_supported')
  expect(metadata.issuer).toBe('https://other.example')
})

test('a login yields a JWT for the resource, and the ledger has one login and one registration', async () => {
  await using as = await startAuthorizationServer()
  const login = await directLogin(as, 'https://mcp.example.com/mcp')
  const claims = JSON.parse(Buffer.from(login.access_token.split('.')[1] as string, 'base64url').toString())
  expect(claims).toMatchObject({ aud: 'https://mcp.example.com/mcp', sub: 'alice', scope: 'mcp:tools', sequence: 1 })
  expect(as.ledger).toMatchObject({ logins: 1, registrations: 1, refreshes: 0, grants: { authorization_code: 1 } })
})

test('a person can say no', async () => {
  await using as = await startAuthorizationServer({
    clients: [
      { client_id: 'known', redirect_uris: ['http://127.0.0.1/cb'], application_type: 'native', token_endpoint_auth_method: 'none' }
    ]
  })
  const query = new URLSearchParams({ response_type: 'code', client_id: 'known', redirect_uri: 'http://127.0.0.1/cb', scope: 'mcp:tools' })
  query.set('code_challenge', 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM')
  query.set('code_challenge_method', 'S256')
  const callback = await approve(`${as.issuer}/auth?${query}`, { deny: true, followCallback: false })
  expect(callback.searchParams.get('error')).toBe('access_denied')
  expect(callback.searchParams.get('iss')).toBe(as.issuer)
  expect(as.ledger.logins).toBe(0)
})

test('a rotated refresh token that is used again revokes the whole grant', async () => {
  await using as = await startAuthorizationServer()
  const login = await directLogin(as, 'https://mcp.example.com/')
  const second = await directRefresh(login)
  expect(second.status).toBe(200)
  expect(await directRefresh(login)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
  expect(await directRefresh(login, String(second.body.refresh_token))).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
  expect(as.ledger).toMatchObject({ refreshes: 1, refusedRefreshes: 2, reuses: 1, revokedGrants: 1 })
  expect([...as.ledger.uses.values()]).toEqual([2, 1])
  expect(JSON.stringify([...as.ledger.uses])).not.toContain(login.refresh_token)
})

test('a grace window lets a rotated refresh token through once more', async () => {
  await using as = await startAuthorizationServer({ graceMs: 60_000 })
  const login = await directLogin(as, 'https://mcp.example.com/')
  expect((await directRefresh(login)).status).toBe(200)
  expect((await directRefresh(login)).status).toBe(200)
  expect(as.ledger).toMatchObject({ refreshes: 2, reuses: 0 })
})

test('a revoked refresh token is dead and the ledger has the revocation', async () => {
  await using as = await startAuthorizationServer()
  const login = await directLogin(as, 'https://mcp.example.com/')
  expect((await postForm(`${as.issuer}/token/revocation`, { token: login.refresh_token, client_id: login.client_id })).status).toBe(200)
  expect((await directRefresh(login)).status).toBe(400)
  expect(as.ledger).toMatchObject({ revocations: 1, revokedGrants: 1, reuses: 0 })
})

test('an answer that is lost after the commit has rotated the token', async () => {
  await using as = await startAuthorizationServer()
  const login = await directLogin(as, 'https://mcp.example.com/')
  const fault = as.fault('token', { kind: 'drop after' }, { times: 1 })
  await expect(directRefresh(login)).rejects.toThrow()
  expect(fault.hits).toBe(1)
  expect(as.ledger.refreshes).toBe(1)
  expect((await directRefresh(login)).status).toBe(400)
  expect(as.ledger.reuses).toBe(1)
})

test('a request that is dropped before has done nothing', async () => {
  await using as = await startAuthorizationServer()
  const login = await directLogin(as, 'https://mcp.example.com/')
  as.fault('token', { kind: 'drop before' }, { times: 1 })
  await expect(directRefresh(login)).rejects.toThrow()
  expect(as.ledger.uses.size).toBe(0)
  expect((await directRefresh(login)).status).toBe(200)
})

test.for([
  [{ kind: 'status', status: 503, body: '{}', headers: { 'retry-after': '7' } }, 503, '{}'],
  [{ kind: 'garbage' }, 200, '{"access_token": "never-closed'],
  [{ kind: 'html', status: 502 }, 502, '<!doctype html>'],
  [{ kind: 'redirect', to: 'http://127.0.0.1:1/elsewhere' }, 307, ''],
  [{ kind: 'huge', bytes: 1_000_000 }, 200, '{"access_token":"aaa']
] as const)('the token endpoint can answer %j', async ([fault, status, start]) => {
  await using as = await startAuthorizationServer()
  const active = as.fault('token', fault)
  const response = await fetch(`${as.issuer}/token`, { method: 'POST', redirect: 'manual', body: 'x' })
  expect(response.status).toBe(status)
  expect((await response.text()).startsWith(start)).toBe(true)
  active.clear()
  expect((await fetch(`${as.issuer}/token`, { method: 'POST', body: 'x' })).status).toBe(400)
})

test('the device flow ends with tokens once a person has approved', async () => {
  const device = 'urn:ietf:params:oauth:grant-type:device_code'
  await using as = await startAuthorizationServer({
    deviceFlow: true,
    clients: [
      { client_id: 'tv', redirect_uris: [], response_types: [], grant_types: [device, 'refresh_token'], token_endpoint_auth_method: 'none' }
    ]
  })
  const resource = 'https://mcp.example.com/'
  const { body } = await postForm(`${as.issuer}/device/auth`, { client_id: 'tv', scope: 'mcp:tools', resource })
  const ask = () => postForm(`${as.issuer}/token`, { grant_type: device, device_code: String(body.device_code), client_id: 'tv', resource })
  expect((await ask()).body.error).toBe('authorization_pending')
  await as.approve(String(body.verification_uri_complete))
  expect((await ask()).body).toMatchObject({ token_type: 'Bearer', refresh_token: expect.any(String) })
})

test('client credentials work for a client registered beforehand', async () => {
  await using as = await startAuthorizationServer({
    clientCredentials: true,
    clients: [
      {
        client_id: 'robot',
        client_secret: 'robot-secret',
        redirect_uris: [],
        response_types: [],
        grant_types: ['client_credentials'],
        token_endpoint_auth_method: 'client_secret_post'
      }
    ]
  })
  const { status, body } = await postForm(`${as.issuer}/token`, {
    grant_type: 'client_credentials',
    client_id: 'robot',
    client_secret: 'robot-secret',
    scope: 'mcp:tools',
    resource: 'https://mcp.example.com/'
  })
  expect(status).toBe(200)
  expect(body.scope).toBe('mcp:tools')
  expect(JSON.stringify(as.ledger.tokenRequests)).not.toContain('robot-secret')
})

const kinds = [
  ['v1 answering JSON', (as: AuthorizationServer) => startMcpServerV1({ authorizationServer: as, answers: 'json' }), connectV1],
  ['v1 answering SSE', (as: AuthorizationServer) => startMcpServerV1({ authorizationServer: as, answers: 'sse' }), connectV1],
  ['v2 through the v2 client', (as: AuthorizationServer) => startMcpServerV2({ authorizationServer: as }), connectV2],
  ['v2 through the v1 client', (as: AuthorizationServer) => startMcpServerV2({ authorizationServer: as }), connectV1],
  ['v1 through the v2 client', (as: AuthorizationServer) => startMcpServerV1({ authorizationServer: as }), connectV2]
] as const

test.for(kinds)('%s: challenges, serves its metadata, admits its own tokens, and can expire them', async ([, start, connect]) => {
  await using as = await startAuthorizationServer()
  await using mcp = await start(as)
  const bare = await fetch(mcp.url, { method: 'POST', body: '{}' })
  expect(bare.status).toBe(401)
  const metadataUrl = /^Bearer resource_metadata="([^"]+)"$/.exec(bare.headers.get('www-authenticate') ?? '')?.[1] as string
  expect(metadataUrl).toBe(new URL('/.well-known/oauth-protected-resource/mcp', mcp.url).href)
  expect(await (await fetch(metadataUrl)).json()).toMatchObject({ resource: mcp.url.href, authorization_servers: [as.issuer] })

  const login = await directLogin(as, mcp.url)
  const client = await connect(mcp.url, login.access_token)
  expect(firstText(await client.callTool({ name: 'echo', arguments: { text: 'hello' } }))).toBe('hello')
  expect(JSON.parse(firstText(await client.callTool({ name: 'whoami', arguments: {} })))).toMatchObject({
    sub: 'alice',
    scope: 'mcp:tools'
  })
  await expect(client.callTool({ name: 'admin', arguments: {} })).rejects.toThrow()

  mcp.expire()
  await expect(client.callTool({ name: 'echo', arguments: { text: 'hello' } })).rejects.toThrow()
  const renewed = await directRefresh(login)
  const again = await connect(mcp.url, String(renewed.body.access_token))
  expect(firstText(await again.callTool({ name: 'echo', arguments: { text: 'again' } }))).toBe('again')
  await client.close()
  await again.close()
})

test.for(kinds)('%s: the tool wait reports progress, then stands at the gate', async ([name, start, connect]) => {
  await using as = await startAuthorizationServer()
  await using mcp = await start(as)
  const client = await connect(mcp.url, (await directLogin(as, mcp.url)).access_token)
  const progress: number[] = []
  const options = { onprogress: (report: { progress: number }) => void progress.push(report.progress) }
  const tool = { name: 'wait', arguments: {} }
  const call = client instanceof ClientV1 ? client.callTool(tool, undefined, options) : client.callTool(tool, options)
  await mcp.waiting.arrived()
  mcp.waiting.release()
  expect(firstText(await call)).toBe('waited')
  if (!name.includes('JSON')) expect(progress).toEqual([1])
  await client.close()
})

test('the legacy SSE transport works, and its token is another one than that of /mcp', async () => {
  await using as = await startAuthorizationServer()
  await using mcp = await startMcpServerV1({ authorizationServer: as })
  const { access_token } = await directLogin(as, mcp.sseUrl)
  const client = new ClientV1(info)
  const fetchWithToken = (url: string | URL, init?: RequestInit) => {
    const headers = new Headers(init?.headers)
    headers.set('authorization', `Bearer ${access_token}`)
    return fetch(url, { ...init, headers })
  }
  await client.connect(new SSEClientTransport(mcp.sseUrl, { fetch: fetchWithToken as never }))
  expect(firstText(await client.callTool({ name: 'echo', arguments: { text: 'old' } }))).toBe('old')
  await expect(connectV1(mcp.url, access_token)).rejects.toThrow()
  await client.close()
})

test('a server can refuse for ever at one place and counts what it refused', async () => {
  await using mcp = await startMcpServerV1({ bearerToken: 'a-static-token' })
  mcp.refuse('GET')
  const client = await connectV1(mcp.url, 'a-static-token')
  expect(firstText(await client.callTool({ name: 'echo', arguments: { text: 'still' } }))).toBe('still')
  expect(mcp.refusals).toMatchObject({ POST: 0, DELETE: 0 })
  mcp.refuse('POST')
  await expect(client.callTool({ name: 'echo', arguments: { text: 'no more' } })).rejects.toThrow()
  expect(mcp.refusals.POST).toBe(1)
  mcp.admit()
  expect(firstText(await client.callTool({ name: 'echo', arguments: { text: 'again' } }))).toBe('again')
  await client.close()
})

test('a static server demands its token and its headers, and sends no metadata', async () => {
  await using mcp = await startMcpServerV2({ bearerToken: 'a-static-token', requiredHeaders: { 'x-tenant': 'acme' } })
  const send = (headers: Record<string, string>) => fetch(mcp.url, { method: 'POST', headers, body: '{}' })
  expect((await send({ authorization: 'Bearer a-static-token' })).status).toBe(403)
  const refused = await send({ 'x-tenant': 'acme', authorization: 'Bearer another' })
  expect(refused.status).toBe(401)
  expect(refused.headers.get('www-authenticate')).not.toContain('resource_metadata')
  expect((await send({ 'x-tenant': 'acme', authorization: 'Bearer a-static-token' })).status).toBe(415)
  expect(mcp.requests).toHaveLength(3)
  expect(mcp.requests[0]?.headers.authorization).toBe('Bearer a-static-token')
})

test('a restarted server has forgotten its sessions and keeps its address', async () => {
  await using mcp = await startMcpServerV1()
  const client = await connectV1(mcp.url, 'unused')
  expect(mcp.sessions).toBe(1)
  await mcp.restart()
  expect(mcp.sessions).toBe(0)
  await expect(client.callTool({ name: 'echo', arguments: { text: 'hello' } })).rejects.toThrow()
  await client.close()
})

test('two servers share an origin, each with its own tokens', async () => {
  await using as = await startAuthorizationServer()
  await using origin = await startOrigin()
  await using one = await startMcpServerV1({ authorizationServer: as, origin, path: '/one' })
  await using two = await startMcpServerV2({ authorizationServer: as, origin, path: '/two' })
  const { access_token } = await directLogin(as, one.url)
  await (await connectV1(one.url, access_token)).close()
  await expect(connectV2(two.url, access_token)).rejects.toThrow()
})

test('a redirect leads to an origin that records what it is sent', async () => {
  await using elsewhere = await startRecordingServer()
  await using mcp = await startMcpServerV1()
  mcp.redirect({ status: 307, url: new URL('/stolen', elsewhere.url) })
  await fetch(mcp.url, { method: 'POST', body: 'the body', headers: { 'x-api-key': 'k-123456' } })
  expect(elsewhere.requests).toMatchObject([{ method: 'POST', path: '/stolen', body: 'the body' }])
  expect(elsewhere.transcript()).toContain('k-123456')
})

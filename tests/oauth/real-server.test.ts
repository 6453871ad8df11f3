// Every grant against a real authorization server (oidc-provider) and a real MCP server, through both SDKs.
import { createHash, generateKeyPairSync } from 'node:crypto'
import { PassThrough } from 'node:stream'
import { secrets } from '@mcpauth/core'
import {
  browserLogin,
  clientCredentials,
  clientMetadataDocument,
  type DevicePrompt,
  deviceLogin,
  type Login,
  type OAuthOptions,
  oauthTokens,
  pasteLogin,
  refreshTokenOnly,
  withOAuth
} from '@mcpauth/oauth'
import {
  type AuthorizationServer,
  directLogin,
  startAuthorizationServer,
  startMcpServerV1,
  startMcpServerV2,
  startOrigin
} from '@mcpauth/tests/servers'
import { memoryStore } from '@mcpauth/token-store'
import { calculateJwkThumbprint, createRemoteJWKSet, decodeJwt, decodeProtectedHeader, importJWK, jwtVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import { connect } from '../wire/clients.ts'

/** A person in a browser: real redirects, the real loopback listener. */
function person(as: AuthorizationServer): Login {
  return browserLogin({ open: async (url) => void (await as.approve(url)), print: () => undefined })
}

describe.each(['v1', 'v2'] as const)('SDK %s', (sdk) => {
  const start = sdk === 'v1' ? startMcpServerV1 : startMcpServerV2
  const way = { sdk, transport: 'http' } as const

  test('N2, N12, N23, N30: authorization code with registration, PKCE and resource', async () => {
    await using as = await startAuthorizationServer()
    await using mcp = await start({ authorizationServer: as })
    await using client = await connect(way, mcp.url, withOAuth(mcp.url, { login: person(as), store: memoryStore() }))
    expect(JSON.parse(await client.call('whoami'))).toMatchObject({ sub: 'alice' })
    expect(as.ledger).toMatchObject({ logins: 1, registrations: 1, reuses: 0 })
  })

  test.each([false, true])(
    'N8, N9, N10, N11: a client that hosts its metadata document does not register (with a key of its own: %s)',
    async (keyed) => {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const clientMetadataUrl = 'https://client.example.com/metadata.json'
      const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), alg: 'ES256', kid: 'k' }] }
      const document = clientMetadataDocument({ clientMetadataUrl, clientName: 'an agent', ...(keyed ? { jwks } : {}) })
      await using as = await startAuthorizationServer({ clientIdMetadataDocuments: [document] })
      await using mcp = await start({ authorizationServer: as })
      const key = {
        clientId: clientMetadataUrl,
        privateKey: () => privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
        keyId: 'k'
      }
      const options = { clientMetadataUrl, login: person(as), store: memoryStore(), ...(keyed ? { client: key } : {}) }
      await using client = await connect(way, mcp.url, withOAuth(mcp.url, options))
      expect(JSON.parse(await client.call('whoami'))).toMatchObject({ sub: 'alice', clientId: clientMetadataUrl })
      mcp.expire()
      expect(JSON.parse(await client.call('whoami'))).toMatchObject({ sub: 'alice', clientId: clientMetadataUrl })
      expect(as.ledger).toMatchObject({ registrations: 0, logins: 1, refreshes: 1 })
      const assertions = as.ledger.tokenRequests.map(({ client_assertion_type }) => client_assertion_type !== undefined)
      expect(assertions).toEqual([keyed, keyed])
    }
  )

  test('a server that takes pushed authorization requests only (RFC 9126)', async () => {
    await using as = await startAuthorizationServer({ par: 'required' })
    await using mcp = await start({ authorizationServer: as })
    await using client = await connect(way, mcp.url, withOAuth(mcp.url, { login: person(as), store: memoryStore() }))
    expect(await client.call('echo', { text: 'pushed' })).toBe('pushed')
  })

  test('N40: device authorization, approved on another device', async () => {
    await using as = await startAuthorizationServer({ deviceFlow: true })
    await using mcp = await start({ authorizationServer: as })
    const shown = Promise.withResolvers<DevicePrompt>()
    const approved = shown.promise.then((prompt) => as.approve(prompt.verificationUriComplete as string))
    const grant = deviceLogin({ show: shown.resolve, wait: async () => void (await approved) })
    await using client = await connect(way, mcp.url, withOAuth(mcp.url, { grant, store: memoryStore() }))
    expect(JSON.parse(await client.call('whoami'))).toMatchObject({ sub: 'alice' })
  })

  test.each(['client_secret_basic', 'client_secret_post'])('N36: client credentials by %s', async (method) => {
    const secret = 'a-secret +%&=/ with everything: "~*'
    const client = { client_id: 'robot', client_secret: secret, token_endpoint_auth_method: method as 'client_secret_basic' }
    await using as = await startAuthorizationServer({ clientCredentials: true, clients: [{ ...client, ...machine }] })
    await using mcp = await start({ authorizationServer: as })
    const options: OAuthOptions = {
      grant: clientCredentials(),
      client: { clientId: 'robot', clientSecret: () => secret, tokenEndpointAuthMethod: method as 'client_secret_basic' },
      store: memoryStore()
    }
    await using wire = await connect(way, mcp.url, withOAuth(mcp.url, options))
    expect(JSON.parse(await wire.call('whoami'))).toMatchObject({ clientId: 'robot' })
    mcp.expire()
    expect(JSON.parse(await wire.call('whoami'))).toMatchObject({ clientId: 'robot' })
  })

  test.each([
    ['ES256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['RS256', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['PS256', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['EdDSA', () => generateKeyPairSync('ed25519')]
  ] as const)('N36: client credentials by private_key_jwt with %s', async (alg, generate) => {
    const { privateKey, publicKey } = generate()
    const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), alg, kid: 'k' }] } as never
    const robot = { client_id: 'robot', token_endpoint_auth_method: 'private_key_jwt' as const, token_endpoint_auth_signing_alg: alg, jwks }
    await using as = await startAuthorizationServer({ clientCredentials: true, clients: [{ ...robot, ...machine } as never] })
    await using mcp = await start({ authorizationServer: as })
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    const client = { clientId: 'robot', privateKey: () => pem, signingAlgorithm: alg, keyId: 'k' }
    await using wire = await connect(way, mcp.url, withOAuth(mcp.url, { grant: clientCredentials(), client, store: memoryStore() }))
    expect(JSON.parse(await wire.call('whoami'))).toMatchObject({ clientId: 'robot' })
  })

  test('N28, N29: a tool that needs more asks for it, once, and the other scopes stay', async () => {
    await using as = await startAuthorizationServer()
    await using mcp = await start({ authorizationServer: as, challengeScope: 'mcp:tools' })
    await using client = await connect(way, mcp.url, withOAuth(mcp.url, { login: person(as), store: memoryStore() }))
    expect(await client.call('echo', { text: 'before' })).toBe('before')
    expect(await client.call('admin')).toBe('allowed')
    expect(
      JSON.parse(await client.call('whoami'))
        .scope.split(' ')
        .toSorted()
    ).toEqual(['mcp:admin', 'mcp:tools'])
    expect(as.ledger).toMatchObject({ logins: 2, refreshes: 0 })
  })

  test('a refresh token from the environment survives rotation from run to run', async () => {
    await using as = await startAuthorizationServer()
    await using mcp = await start({ authorizationServer: as })
    const login = await directLogin(as, mcp.url)
    const store = memoryStore()
    const options: OAuthOptions = {
      grant: refreshTokenOnly({ refreshToken: { env: 'CI_TOKEN' } }),
      client: { clientId: login.client_id },
      env: { CI_TOKEN: login.refresh_token },
      store
    }
    for (let run = 1; run <= 3; run += 1) {
      await using client = await connect(way, mcp.url, withOAuth(mcp.url, options))
      expect(await client.call('echo', { text: String(run) })).toBe(String(run))
      mcp.expire()
    }
    expect(as.ledger).toMatchObject({ reuses: 0, revokedGrants: 0, refreshes: 3 })
  })
})

const machine = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }

test('N41: after a logout, what another process has copied is worth nothing', async () => {
  await using as = await startAuthorizationServer()
  await using mcp = await startMcpServerV2({ authorizationServer: as })
  const store = memoryStore()
  const tokens = oauthTokens(mcp.url, { login: person(as), store })
  await tokens.login()
  const stolen = await store.read({ kind: 'server', url: mcp.url.href })
  await tokens.logout()
  const answer = await fetch(`${as.issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: stolen?.refresh_token as string,
      client_id: stolen?.client?.client_id as string
    })
  })
  expect(await answer.json()).toMatchObject({ error: 'invalid_grant' })
})

test('N38: with a server that wants a nonce in every proof, login, requests and refresh are bound to one key', async () => {
  await using as = await startAuthorizationServer({ dpop: 'nonce' })
  await using resource = await startOrigin()
  const url = new URL('/mcp', resource.url)
  const jwks = createRemoteJWKSet(new URL(`${as.issuer}/jwks`))
  let demanded = 'first-nonce'
  let expired = new Set<string>()
  const seen: string[] = []
  resource.mount('/.well-known/oauth-protected-resource/mcp', (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ resource: url.href, authorization_servers: [as.issuer], dpop_bound_access_tokens_required: true }))
  })
  resource.mount('/mcp', async (request, response) => {
    const [scheme, token = ''] = (request.headers.authorization ?? '').split(' ')
    const refuse = (error: string): void => {
      response.writeHead(401, { 'www-authenticate': `DPoP error="${error}"`, 'dpop-nonce': demanded }).end()
    }
    if (scheme !== 'DPoP' || expired.has(token)) return refuse('invalid_token')
    const proof = String(request.headers.dpop)
    const jwk = decodeProtectedHeader(proof).jwk as never
    const { payload } = await jwtVerify(proof, await importJWK(jwk, 'ES256'))
    if (payload.nonce !== demanded) return refuse('use_dpop_nonce')
    const { payload: claims } = await jwtVerify(token, jwks, { audience: url.href })
    expect((claims.cnf as { jkt: string }).jkt).toBe(await calculateJwkThumbprint(jwk))
    expect(payload).toMatchObject({ htm: 'POST', htu: url.href, ath: createHash('sha256').update(token).digest('base64url') })
    seen.push(token)
    response.writeHead(200).end('{}')
  })
  const { authFetch } = await import('@mcpauth/core')
  await using send = authFetch(withOAuth(url, { login: person(as), store: memoryStore(), dpop: true }))
  expect((await send(url, { method: 'POST', body: '{}' })).status).toBe(200)
  demanded = 'second-nonce'
  expect((await send(url, { method: 'POST', body: '{}' })).status).toBe(200)
  expired = new Set(seen)
  expect((await send(url, { method: 'POST', body: '{}' })).status).toBe(200)
  expect(as.ledger).toMatchObject({ logins: 1, refreshes: 1, reuses: 0 })
  expect(new Set(seen).size).toBe(2)
  expect(decodeJwt(seen[1] as string).sub).toBe('alice')
})

test('R7, T13: of the tokens of a process that refreshes for weeks the last eight are still known as secrets, and the others take no memory', async () => {
  await using as = await startAuthorizationServer()
  await using mcp = await startMcpServerV1({ authorizationServer: as })
  const store = memoryStore()
  let nowMs = Date.now()
  const tokens = oauthTokens(mcp.url, { login: person(as), store, refreshAheadSeconds: 0, now: () => nowMs })
  await tokens.login()
  const pairs: Array<[accessToken: string, refreshToken: string]> = []
  for (let refresh = 0; refresh < 20; refresh++) {
    const record = await store.read({ kind: 'server', url: mcp.url.href })
    pairs.push([record?.access_token as string, record?.refresh_token as string])
    nowMs = (record?.expires_at_unix as number) * 1000
    await tokens.current()
  }
  expect(as.ledger).toMatchObject({ refreshes: 20, reuses: 0 })
  const known = pairs.filter(
    ([access, refresh]) => secrets.redact(access) === '[REDACTED:access_token]' && secrets.redact(refresh) !== refresh
  )
  expect(known).toEqual(pairs.slice(-7))
  expect(pairs.filter((pair) => pair.some((token) => secrets.redact(token) !== token))).toEqual(pairs.slice(-7))
})

test('N22: a person who says no is told so, and no token is asked for', async () => {
  await using as = await startAuthorizationServer()
  await using mcp = await startMcpServerV2({ authorizationServer: as })
  const login = browserLogin({ open: async (url) => void (await as.approve(url, { deny: true })), print: () => undefined })
  const tokens = oauthTokens(mcp.url, { login, store: memoryStore() })
  await expect(tokens.login()).rejects.toMatchObject({
    code: 'MCPAUTH_LOGIN_FAILED',
    message: expect.stringContaining('the person said no')
  })
  expect(as.ledger.tokenRequests).toHaveLength(0)
})

test('N30: a server that hides its PKCE methods is refused, and the named option lets it pass', async () => {
  await using as = await startAuthorizationServer({ metadata: { code_challenge_methods_supported: undefined } })
  await using mcp = await startMcpServerV2({ authorizationServer: as })
  const options = { login: person(as), store: memoryStore() }
  await expect(oauthTokens(mcp.url, options).login()).rejects.toMatchObject({ code: 'MCPAUTH_PKCE_UNSUPPORTED' })
  expect(await oauthTokens(mcp.url, { ...options, dangerouslyAllowMissingPkceMetadata: true }).login()).toMatchObject({ loggedIn: true })
})

test.each<[string, (url: URL) => void, boolean]>([
  ['as it came', () => undefined, true],
  ['with another issuer', (url) => url.searchParams.set('iss', 'https://as.example.com'), false],
  ['without its issuer', (url) => url.searchParams.delete('iss'), false]
])('N20 N32: the address that a browser elsewhere ended at, pasted %s', async (_name, change, good) => {
  await using as = await startAuthorizationServer()
  await using mcp = await startMcpServerV2({ authorizationServer: as })
  const input = new PassThrough()
  const shown = Promise.withResolvers<string>()
  const print = (line: string): void => {
    if (line.startsWith('  http')) shown.resolve(line.trim())
  }
  const login = oauthTokens(mcp.url, { login: pasteLogin({ input, print }), store: memoryStore() }).login()
  login.catch(() => undefined)
  const ended = await as.approve(await shown.promise, { followCallback: false })
  change(ended)
  // A code alone says nothing about whose it is.
  input.write(`${ended.searchParams.get('code')}\n${ended.href}\n`)
  if (good) expect(await login).toMatchObject({ loggedIn: true, issuer: as.issuer })
  else await expect(login).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  expect(as.ledger.tokenRequests).toHaveLength(good ? 1 : 0)
})

test('N20: a server that announces iss and does not send it is refused', async () => {
  await using as = await startAuthorizationServer()
  await using mcp = await startMcpServerV2({ authorizationServer: as })
  const login: Login = async () => {
    const open = await person(as)()
    return {
      ...open,
      ask: async (url, state, signal) => {
        const answer = await open.ask(url, state, signal)
        answer.delete('iss')
        return answer
      }
    }
  }
  await expect(oauthTokens(mcp.url, { login, store: memoryStore() }).login()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  expect(as.ledger.tokenRequests).toHaveLength(0)
})

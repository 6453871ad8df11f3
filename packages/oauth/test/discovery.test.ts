import { McpAuthError } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'
import { expect, test } from 'vitest'
import { addressGuard } from '../src/address-guard.ts'
import { discoverAuthorizationServer, discoverLegacyServer, discoverResource } from '../src/discovery.ts'
import { oauthTokens } from '../src/index.ts'
import { approving, authorizationServer, resourceServer, scene } from './small-servers.ts'

const paths = (seen: ReadonlyArray<{ path: string }>): string[] => seen.map(({ path }) => path)

test('N2: the resource metadata names the authorization server, which is another origin', async () => {
  await using world = await scene()
  expect(await world.post(world.fetchWith())).toBe(200)
  expect(world.as.at('/token')).toHaveLength(1)
  expect(world.mcp.at('/token')).toHaveLength(0)
})

test('N4: without a metadata URL in the challenge, the well-known place for the path is asked before the root', async () => {
  await using world = await scene()
  world.mcp.challenge = 'Bearer'
  world.mcp.overrides.set('/.well-known/oauth-protected-resource/mcp', () => ({ status: 404 }))
  world.mcp.overrides.set('/.well-known/oauth-protected-resource', () => ({
    body: { resource: world.mcp.origin, authorization_servers: [world.as.origin] }
  }))
  expect(await world.post(world.fetchWith())).toBe(200)
  expect(paths(world.mcp.seen)).toEqual([
    '/mcp',
    '/.well-known/oauth-protected-resource/mcp',
    '/.well-known/oauth-protected-resource',
    '/mcp'
  ])
})

test('N4: the metadata of a server whose path ends with a slash is found with it and without it', async () => {
  await using as = await authorizationServer()
  await using mcp = await resourceServer(as, '/mcp/')
  mcp.challenge = undefined
  mcp.overrides.set('/.well-known/oauth-protected-resource/mcp/', () => ({ status: 404 }))
  mcp.overrides.set('/.well-known/oauth-protected-resource/mcp', () => ({ body: mcp.metadata }))
  const tokens = oauthTokens(mcp.url, { login: approving(), store: memoryStore() })
  expect(await tokens.login()).toMatchObject({ loggedIn: true })
  expect(as.at('/token')[0]?.form.get('resource')).toBe(mcp.url)
})

test('N4: the metadata URL of the challenge is asked first and alone', async () => {
  await using world = await scene()
  world.mcp.challenge = `Bearer resource_metadata="${world.mcp.origin}/elsewhere"`
  world.mcp.overrides.set('/elsewhere', () => ({ body: world.mcp.metadata }))
  expect(await world.post(world.fetchWith())).toBe(200)
  expect(paths(world.mcp.seen)).toEqual(['/mcp', '/elsewhere', '/mcp'])
})

test('N3: a challenge of another scheme beside ours does not hide it', async () => {
  await using world = await scene()
  world.mcp.challenge = `Basic realm="a, b", ${world.mcp.challenge}, Digest nonce="x"`
  expect(await world.post(world.fetchWith())).toBe(200)
})

test('N5: of several authorization servers the user may choose, and only one that is named', async () => {
  await using other = await authorizationServer()
  await using world = await scene()
  world.mcp.metadata.authorization_servers = [other.origin, world.as.origin]
  const chooseAuthorizationServer = (issuers: readonly string[]) => issuers[1] as string
  expect(await world.post(world.fetchWith({ chooseAuthorizationServer }))).toBe(200)
  expect(other.seen).toHaveLength(0)
  const wrong = world.tokensWith({ chooseAuthorizationServer: () => 'https://elsewhere.example' })
  await expect(wrong.login()).rejects.toMatchObject({ code: 'MCPAUTH_DISCOVERY_FAILED' })
})

test('N5: without a choice it is the server where the user’s client is registered, else the first; and the one in use stays while it is named', async () => {
  await using other = await authorizationServer()
  await using world = await scene()
  const { as, mcp } = world
  mcp.metadata.authorization_servers = [other.origin, as.origin]
  const client = { clientId: 'mine', issuer: as.origin }
  expect(await world.tokensWith({ client, profile: 'registered' }).login()).toMatchObject({ issuer: as.origin })
  expect(await world.tokensWith({ profile: 'first' }).login()).toMatchObject({ issuer: other.origin })

  mcp.metadata.authorization_servers = [as.origin, other.origin]
  expect(await world.tokensWith({ profile: 'first' }).login()).toMatchObject({ issuer: other.origin })
  mcp.metadata.authorization_servers = [as.origin]
  expect(await world.tokensWith({ profile: 'first' }).login()).toMatchObject({ issuer: as.origin })
})

test('N6: an issuer with a path is looked up in three places, in order', async () => {
  await using world = await scene()
  world.mcp.metadata.authorization_servers = [`${world.as.origin}/tenant`]
  world.as.overrides.set('/tenant/.well-known/openid-configuration', () => ({
    body: { ...world.as.metadata, issuer: `${world.as.origin}/tenant` }
  }))
  expect(await world.post(world.fetchWith())).toBe(200)
  expect(paths(world.as.seen).slice(0, 3)).toEqual([
    '/.well-known/oauth-authorization-server/tenant',
    '/.well-known/openid-configuration/tenant',
    '/tenant/.well-known/openid-configuration'
  ])
})

test('N6: an issuer without a path is looked up as OAuth first, then as OpenID', async () => {
  await using world = await scene()
  world.as.overrides.set('/.well-known/oauth-authorization-server', () => ({ status: 404 }))
  world.as.overrides.set('/.well-known/openid-configuration', () => ({ body: world.as.metadata }))
  expect(await world.post(world.fetchWith())).toBe(200)
  expect(paths(world.as.seen).slice(0, 2)).toEqual(['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'])
})

test.each(['/', '/x', '%2F'])('N7: metadata whose issuer differs by %j is not used', async (more) => {
  await using world = await scene()
  world.as.metadata.issuer = world.as.origin + more
  await expect(world.post(world.fetchWith())).rejects.toMatchObject({ code: 'MCPAUTH_ISSUER_MISMATCH' })
  expect(world.login.asked).toHaveLength(0)
})

test.each([
  ['another origin', () => 'https://elsewhere.example/mcp'],
  ['a sibling path', (origin: string) => `${origin}/mc`],
  ['a path below', (origin: string) => `${origin}/mcp/below`],
  ['nothing', () => undefined]
])('T2: resource metadata about %s is refused (RFC 9728 §3.3)', async (_name, resource) => {
  await using world = await scene()
  world.mcp.metadata.resource = resource(world.mcp.origin)
  await expect(world.post(world.fetchWith())).rejects.toMatchObject({ code: 'MCPAUTH_RESOURCE_MISMATCH' })
  expect(world.as.seen).toHaveLength(0)
})

test('N42: a server without resource metadata has its own metadata at its root', async () => {
  await using world = await scene()
  const own = world.mcp.origin
  world.mcp.challenge = undefined
  world.mcp.overrides.set('/.well-known/oauth-protected-resource/mcp', () => ({ status: 404 }))
  world.mcp.overrides.set('/.well-known/oauth-authorization-server', () => ({ body: { ...world.as.metadata, issuer: own } }))
  expect(await world.post(world.fetchWith())).toBe(200)
})

test('N42: without any metadata, a server that refused has the default endpoints', async () => {
  await using world = await scene()
  world.mcp.challenge = undefined
  for (const path of ['/.well-known/oauth-protected-resource/mcp']) world.mcp.overrides.set(path, () => ({ status: 404 }))
  await expect(world.post(world.fetchWith())).rejects.toMatchObject({ code: 'MCPAUTH_REGISTRATION_FAILED' })
  expect(world.mcp.at('/register')).toHaveLength(1)
})

test('a server that asks for nothing and names nobody is not logged in to', async () => {
  await using world = await scene()
  world.mcp.overrides.set('/mcp', () => ({ status: 200 }))
  world.mcp.overrides.set('/.well-known/oauth-protected-resource/mcp', () => ({ status: 404 }))
  await expect(world.tokensWith().login()).rejects.toMatchObject({
    code: 'MCPAUTH_DISCOVERY_FAILED',
    hint: expect.stringContaining('nothing to log in')
  })
  expect(world.mcp.at('/register')).toHaveLength(0)
})

test('a page of a web application at a well-known path is the same as no document', async () => {
  await using world = await scene()
  world.mcp.challenge = 'Bearer'
  world.mcp.overrides.set('/.well-known/oauth-protected-resource/mcp', () => ({ body: '<!doctype html>' }))
  world.mcp.overrides.set('/.well-known/oauth-protected-resource', () => ({
    body: { resource: world.mcp.origin, authorization_servers: [world.as.origin] }
  }))
  expect(await world.post(world.fetchWith())).toBe(200)
})

test('T5: metadata may redirect three times, not four', async () => {
  await using world = await scene()
  for (const hop of [1, 2, 3, 4]) {
    world.as.overrides.set(`/hop${hop}`, () => ({ status: 302, headers: { location: hop === 1 ? '/end' : `/hop${hop - 1}` } }))
  }
  world.as.overrides.set('/end', () => ({ body: world.as.metadata }))
  const from = (hop: number) => () => ({ status: 302, headers: { location: `/hop${hop}` } })
  world.as.overrides.set('/.well-known/oauth-authorization-server', from(2))
  expect(await world.post(world.fetchWith())).toBe(200)
  world.as.overrides.set('/.well-known/oauth-authorization-server', from(3))
  world.as.live.clear()
  await expect(world.tokensWith().login()).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE' })
})

test('T5: a token endpoint that redirects is not followed, and the target sees nothing', async () => {
  await using target = await authorizationServer()
  await using world = await scene()
  world.as.overrides.set('/token', () => ({ status: 307, headers: { location: `${target.origin}/token` } }))
  await expect(world.post(world.fetchWith())).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE', status: 307 })
  expect(target.seen).toHaveLength(0)
})

test('T2: after a login, a challenge that points to another origin is not followed, and nothing of the login reaches it', async () => {
  await using attacker = await authorizationServer()
  await using world = await scene()
  const tokens = world.tokensWith()
  await tokens.login()
  attacker.overrides.set('/metadata', () => ({ body: { resource: world.mcp.url, authorization_servers: [attacker.origin] } }))
  world.mcp.challenge = `Bearer resource_metadata="${attacker.origin}/metadata"`
  world.as.live.clear()
  expect(await world.post(world.fetchWith(tokens))).toBe(200)
  expect(world.as.refreshes).toBe(1)
  expect(attacker.seen).toHaveLength(0)
})

test('N34: metadata at an address of another kind than the server is refused before anything is sent', async () => {
  await using world = await scene()
  world.mcp.metadata.authorization_servers = ['https://169.254.169.254']
  await expect(world.post(world.fetchWith())).rejects.toMatchObject({ code: 'MCPAUTH_ADDRESS_REFUSED' })
})

test.each(['authorization_endpoint', 'token_endpoint', 'registration_endpoint'])(
  'N31: %s must be https, or loopback for a loopback server',
  async (name) => {
    await using world = await scene()
    world.as.metadata[name] = 'http://as.example.com/endpoint'
    await expect(world.post(world.fetchWith())).rejects.toMatchObject({ code: 'MCPAUTH_ADDRESS_REFUSED' })
    expect(world.login.asked).toHaveLength(0)
  }
)

test('N24: without metadata the resource is the server, without the slash of an empty path', async () => {
  await using as = await authorizationServer()
  await using mcp = await resourceServer(as, '/')
  mcp.challenge = undefined
  mcp.overrides.set('/.well-known/oauth-authorization-server', () => ({ body: { ...as.metadata, issuer: mcp.origin } }))
  mcp.overrides.set('/.well-known/oauth-protected-resource', () => ({ status: 404 }))
  await oauthTokens(mcp.origin, { login: approving(), store: memoryStore() }).login()
  expect(as.at('/token')[0]?.form.get('resource')).toBe(mcp.origin)
})

test.each(['A:', 'urn:issuer', 'ftp://as.example', 'https://as.example//evil.example'])(
  'N7 an issuer of another form is no reason to crash, nor to ask another host: %s',
  async (issuer) => {
    const asked: string[] = []
    const context = {
      server: new URL('https://mcp.example.com/mcp'),
      guard: addressGuard({ server: new URL('https://mcp.example.com/mcp') }),
      network: {
        readMetadata: async (url: URL) => {
          asked.push(url.host)
          return undefined
        }
      }
    }
    const error = await discoverAuthorizationServer(context as never, issuer).catch((reason: unknown) => reason)
    expect(error === undefined || McpAuthError.is(error)).toBe(true)
    expect(asked.filter((host) => host !== 'as.example')).toEqual([])
  }
)

const server = new URL('https://mcp.example.com/mcp')
const wellKnown = 'https://mcp.example.com/.well-known'

/** A network where only these documents are, by URL; an Error is what reading it ends with. */
function publishing(documents: Record<string, unknown>, signal?: AbortSignal) {
  const asked: string[] = []
  return {
    asked,
    server,
    guard: addressGuard({ server }),
    ...(signal ? { signal } : {}),
    network: {
      readMetadata: async ({ href }: URL) => {
        asked.push(href)
        if (documents[href] instanceof Error) throw documents[href]
        return structuredClone(documents[href])
      },
      send: () => Promise.reject(new Error('nothing is sent'))
    }
  }
}

test('T2 N34: a challenge that names another origin is followed only while nobody is logged in; one of the server itself always', async () => {
  const elsewhere = 'https://metadata.example.net/x'
  const own = 'https://mcp.example.com/x'
  const read = async (url: string, allowForeign: boolean): Promise<string[]> => {
    const context = publishing({})
    await discoverResource(context, { url, allowForeign })
    return context.asked
  }
  const atTheServer = [`${wellKnown}/oauth-protected-resource/mcp`, `${wellKnown}/oauth-protected-resource`]
  expect(await read(elsewhere, true)).toEqual([elsewhere])
  expect(await read(elsewhere, false)).toEqual(atTheServer)
  expect(await read(own, false)).toEqual([own])
  expect(await read('no URL', true)).toEqual(atTheServer)
})

test.each<[string, Record<string, unknown>, object]>([
  ['names nobody: the server is its own', {}, { authorizationServers: ['https://mcp.example.com'] }],
  ['names an empty list: the server is its own', { authorization_servers: [] }, { authorizationServers: ['https://mcp.example.com'] }],
  [
    'holds words and other things: only the words count',
    { authorization_servers: ['https://a.example', 7, null], scopes_supported: ['read', {}, 'write'] },
    { authorizationServers: ['https://a.example'], scopesSupported: ['read', 'write'] }
  ],
  ['says its scopes', { scopes_supported: ['read'] }, { authorizationServers: ['https://mcp.example.com'], scopesSupported: ['read'] }]
])('N2 N17: resource metadata that %s', async (_name, more, expected) => {
  const context = publishing({ [`${wellKnown}/oauth-protected-resource/mcp`]: { resource: server.href, ...more } })
  expect(await discoverResource(context, { url: undefined, allowForeign: false })).toEqual({ resource: server.href, ...expected })
})

test.each([
  [['https://mcp.example.com/mcp']],
  [7],
  [null],
  ['no URL'],
  ['https://mcp.example.com\\?@other.example'],
  ['https://mcp.example.com/\n'],
  ['https://mcp.exa\tmple.com'],
  ['https://mcp.example.com/ '],
  ['https://mcp.example.com/?\u202e']
])('T2: a resource that is %j covers nothing (RFC 9728 §3.3)', async (resource) => {
  const context = publishing({ [`${wellKnown}/oauth-protected-resource/mcp`]: { resource } })
  await expect(discoverResource(context, { url: undefined, allowForeign: false })).rejects.toMatchObject({
    code: 'MCPAUTH_RESOURCE_MISMATCH'
  })
})

test.each(['no URL', 'https://as.example.com\\@other.example', 'https://as.example.com/\u001b]0;title', ' https://as.example.com'])(
  'T2 T14: the authorization server %j is not a URL to every reader, and nobody is asked',
  async (issuer) => {
    const context = publishing({})
    await expect(discoverAuthorizationServer(context, issuer)).rejects.toMatchObject({ code: 'MCPAUTH_DISCOVERY_FAILED' })
    expect(context.asked).toEqual([])
  }
)

const refusedAddress = new McpAuthError('MCPAUTH_ADDRESS_REFUSED', 'refused')
const broken = new McpAuthError('MCPAUTH_NETWORK', 'broken')

test('N4: metadata that cannot be read is an error only where no other place has it', async () => {
  const first = `${wellKnown}/oauth-protected-resource/mcp`
  const root = `${wellKnown}/oauth-protected-resource`
  const ask = { url: undefined, allowForeign: false }
  const found = publishing({ [first]: broken, [root]: { resource: server.origin } })
  expect(await discoverResource(found, ask)).toMatchObject({ resource: server.origin })
  await expect(discoverResource(publishing({ [first]: broken }), ask)).rejects.toBe(broken)
  await expect(discoverResource(publishing({ [first]: broken, [root]: new TypeError('later') }), ask)).rejects.toBe(broken)
})

test('N34: an address that is refused ends the search at once, and so does a caller that gave up', async () => {
  const ask = { url: undefined, allowForeign: false }
  const first = `${wellKnown}/oauth-protected-resource/mcp`
  const refused = publishing({ [first]: refusedAddress, [`${wellKnown}/oauth-protected-resource`]: { resource: server.origin } })
  await expect(discoverResource(refused, ask)).rejects.toBe(refusedAddress)
  expect(refused.asked).toEqual([first])
  const givenUp = publishing({ [first]: broken }, AbortSignal.abort())
  await expect(discoverResource(givenUp, ask)).rejects.toBe(broken)
  expect(givenUp.asked).toEqual([first])
})

const issuer = 'https://as.example.com'
const place = `${issuer}/.well-known/oauth-authorization-server`
const metadata = { issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token` }

test.each(['no URL', '', '//as.example.com'])('N7: an issuer that is no URL is an error, and nobody is asked: %j', async (name) => {
  const context = publishing({})
  await expect(discoverAuthorizationServer(context, name)).rejects.toMatchObject({ code: 'MCPAUTH_DISCOVERY_FAILED' })
  expect(context.asked).toEqual([])
})

test.each(['https://10.0.0.1', 'http://as.example.com', 'https://user@as.example.com'])(
  'N34: an authorization server that the guard refuses is named as what it is, and nobody is asked: %s',
  async (name) => {
    const context = publishing({})
    await expect(discoverAuthorizationServer(context, name)).rejects.toMatchObject({
      code: 'MCPAUTH_ADDRESS_REFUSED',
      message: expect.stringMatching(/^the authorization server is at /)
    })
    expect(context.asked).toEqual([])
  }
)

test.each([[{ ...metadata, issuer: undefined }], [{ ...metadata, issuer: [issuer] }], [['x']], [null]])(
  'N6: a document without an issuer is none, and the next place is asked: %j',
  async (document) => {
    const context = publishing({ [place]: document, [`${issuer}/.well-known/openid-configuration`]: metadata })
    expect(await discoverAuthorizationServer(context, issuer)).toEqual(metadata)
  }
)

test.each([
  'authorization_endpoint',
  'token_endpoint',
  'registration_endpoint',
  'revocation_endpoint',
  'device_authorization_endpoint',
  'pushed_authorization_request_endpoint'
])('N31 N34: %s must be a URL that the guard lets through, or absent', async (name) => {
  const found = (value: unknown) => discoverAuthorizationServer(publishing({ [place]: { ...metadata, [name]: value } }), issuer)
  for (const bad of ['/relative', 'no URL', 7, ['https://as.example.com/x'], {}, ''])
    await expect(found(bad), JSON.stringify(bad)).rejects.toMatchObject({ code: 'MCPAUTH_DISCOVERY_FAILED' })
  for (const bad of ['https://10.0.0.1/', 'http://as.example.com/', 'javascript:alert(1)'])
    await expect(found(bad), bad).rejects.toMatchObject({
      code: 'MCPAUTH_ADDRESS_REFUSED',
      message: expect.stringContaining(`the ${name} is at`)
    })
  expect(await found(null)).not.toHaveProperty(name)
  expect(await found(undefined)).not.toHaveProperty(name)
})

test.each([
  'code_challenge_methods_supported',
  'dpop_signing_alg_values_supported',
  'grant_types_supported',
  'response_types_supported',
  'scopes_supported',
  'token_endpoint_auth_methods_supported',
  'token_endpoint_auth_signing_alg_values_supported'
])('N30: %s that is no list of words says nothing', async (name) => {
  const found = (value: unknown) => discoverAuthorizationServer(publishing({ [place]: { ...metadata, [name]: value } }), issuer)
  for (const bad of ['S256', ['S256', 7], [7], { 0: 'S256' }, null]) expect(await found(bad), JSON.stringify(bad)).not.toHaveProperty(name)
  expect(await found(['S256', 'plain'])).toHaveProperty(name, ['S256', 'plain'])
})

const legacyPlace = `${wellKnown}/oauth-authorization-server`

test.each([
  ['https://mcp.example.com', true],
  ['https://mcp.example.com/', true],
  ['https://mcp.example.com/mcp', false],
  ['https://evil.example.com', false],
  ['', false]
])('N42 N7: metadata at the root of the server whose issuer is %j is used: %s', async (named, used) => {
  const found = discoverLegacyServer(publishing({ [legacyPlace]: { ...metadata, issuer: named, scopes_supported: 'read' } }), true)
  if (used) expect(await found).toEqual({ ...metadata, issuer: named })
  else await expect(found).rejects.toMatchObject({ code: 'MCPAUTH_ISSUER_MISMATCH' })
})

test('N42 N34: the endpoints in the metadata of such a server are checked as well', async () => {
  const context = publishing({ [legacyPlace]: { ...metadata, issuer: server.origin, token_endpoint: 'https://10.0.0.1/token' } })
  await expect(discoverLegacyServer(context, true)).rejects.toMatchObject({ code: 'MCPAUTH_ADDRESS_REFUSED' })
})

test('N42 N30: the default endpoints are on the server’s own origin, with PKCE, and only for a server that refused', async () => {
  expect(await discoverLegacyServer(publishing({}), true)).toEqual({
    issuer: 'https://mcp.example.com',
    authorization_endpoint: 'https://mcp.example.com/authorize',
    token_endpoint: 'https://mcp.example.com/token',
    registration_endpoint: 'https://mcp.example.com/register',
    code_challenge_methods_supported: ['S256']
  })
  expect(await discoverLegacyServer(publishing({}), false)).toBeUndefined()
})

test.each([
  ['https://as.example.com', ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']],
  ['https://as.example.com/', ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']]
])('N6: an issuer without a path, %s, is looked up in two places', async (name, places) => {
  const context = publishing({})
  expect(await discoverAuthorizationServer(context, name)).toBeUndefined()
  expect(context.asked).toEqual(places.map((path) => issuer + path))
})

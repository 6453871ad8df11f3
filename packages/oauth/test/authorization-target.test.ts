import { McpAuthError } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'
import { describe, expect, test } from 'vitest'
import { findTarget } from '../src/authorization-target.ts'
import { checkOptions, type OAuthOptions } from '../src/options.ts'

const mcp = 'https://mcp.example.com/mcp'
const [first, second] = ['https://as1.example.com', 'https://as2.example.com']
const resourceDocument = 'https://mcp.example.com/.well-known/oauth-protected-resource/mcp'
const metadataOf = (issuer: string) => ({
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  registration_endpoint: `${issuer}/register`,
  revocation_endpoint: `${issuer}/revoke`,
  device_authorization_endpoint: `${issuer}/device`,
  code_challenge_methods_supported: ['S256']
})
const documentOf = (issuer: string) => `${issuer}/.well-known/oauth-authorization-server`

interface Given {
  options?: OAuthOptions
  /** What the web holds, by URL; an Error is what reading it ends with. */
  web?: Record<string, unknown>
  inUse?: string
  refused?: boolean
  signal?: AbortSignal
}

async function find({ options = {}, web, inUse, refused = true, signal }: Given = {}) {
  const documents: Record<string, unknown> = web ?? {
    [resourceDocument]: { resource: mcp, authorization_servers: [first, second] },
    [documentOf(first)]: metadataOf(first),
    [documentOf(second)]: metadataOf(second)
  }
  const asked: string[] = []
  const signals: (AbortSignal | undefined)[] = []
  const settings = checkOptions(mcp, { store: memoryStore(), login: (() => undefined) as never, ...options })
  const context = {
    server: settings.server,
    signal,
    guard: { checkUrl: () => undefined },
    network: {
      readMetadata: async (url: URL, _what: string, given?: AbortSignal) => {
        asked.push(url.href)
        signals.push(given)
        if (documents[url.href] instanceof Error) throw documents[url.href]
        return structuredClone(documents[url.href])
      },
      send: () => expect.unreachable()
    }
  }
  const target = await findTarget(settings, context, { url: undefined, allowForeign: false, refused }, inUse)
  return { ...target, asked, signals }
}

const issuerOf = async (given: Given): Promise<string> => (await find(given)).authorizationServer.issuer

describe('N5: of several authorization servers', () => {
  test.each<[string, string, Given]>([
    ['the first, when nothing speaks for another', first, {}],
    ['the one in use', second, { inUse: second }],
    ['the first, when the one in use is not named any more', first, { inUse: 'https://old.example.com' }],
    ['the one where the user’s client is registered', second, { options: { client: { clientId: 'mine', issuer: second } } }],
    ['the one in use before that of the client', first, { inUse: first, options: { client: { clientId: 'mine', issuer: second } } }],
    [
      'the client’s, when the one in use is not named any more',
      second,
      { inUse: 'https://old.example.com', options: { client: { clientId: 'mine', issuer: second } } }
    ],
    [
      'the first, when the client’s is not named',
      first,
      { options: { client: { clientId: 'mine', issuer: 'https://other.example.com' } } }
    ],
    [
      'the user’s choice, whatever is in use',
      second,
      { inUse: first, options: { chooseAuthorizationServer: (issuers) => issuers[1] as string } }
    ]
  ])('%s', async (_name, expected, given) => {
    expect(await issuerOf(given)).toBe(expected)
  })

  test('T2: a choice that the server does not name is refused, and not asked', async () => {
    const options = { chooseAuthorizationServer: async () => 'https://evil.example' }
    await expect(find({ options })).rejects.toMatchObject({
      code: 'MCPAUTH_DISCOVERY_FAILED',
      hint: expect.stringContaining(`${first}, ${second}`)
    })
  })
})

describe('an authorization server without metadata', () => {
  const silent = { [resourceDocument]: { resource: mcp, authorization_servers: [first] } }
  const [authorizationUrl, tokenUrl, deviceAuthorizationUrl] = ['https://as.example/a', 'https://as.example/t', 'https://as.example/d']
  const grant = Object.assign(async () => expect.unreachable(), { grantType: 'client_credentials' })

  test.each<[string, OAuthOptions]>([
    ['the endpoints of a login', { authorizationUrl, tokenUrl }],
    ['the endpoints of a device login', { deviceAuthorizationUrl, tokenUrl }],
    ['the token endpoint, where nobody logs in', { login: undefined, grant, tokenUrl } as never]
  ])('is known by what the user gives: %s', async (_name, options) => {
    const { authorizationServer } = await find({ options, web: silent })
    expect(authorizationServer).toMatchObject({ issuer: first, token_endpoint: tokenUrl, code_challenge_methods_supported: ['S256'] })
    // N42: the same where the server publishes nothing at all; then it is its own.
    const alone = await find({ options, web: {} })
    expect(alone.authorizationServer).toMatchObject({ issuer: 'https://mcp.example.com', token_endpoint: tokenUrl })
    expect(alone.metadata).toBeUndefined()
  })

  test('has the issuer that the user’s client says', async () => {
    const options = { authorizationUrl, tokenUrl, client: { clientId: 'mine', issuer: 'https://as.example/tenant' } }
    expect(await issuerOf({ options, web: silent })).toBe('https://as.example/tenant')
  })

  test.each<[string, OAuthOptions]>([
    ['nothing', {}],
    ['the token endpoint alone, where a person logs in', { tokenUrl }],
    ['the authorization endpoint alone', { authorizationUrl }],
    ['everything but the token endpoint', { login: undefined, grant, authorizationUrl, deviceAuthorizationUrl } as never]
  ])('is an error when the user gives %s', async (_name, options) => {
    await expect(find({ options, web: silent })).rejects.toMatchObject({
      code: 'MCPAUTH_DISCOVERY_FAILED',
      message: expect.stringContaining(first)
    })
  })
})

test.each<[string, OAuthOptions, Record<string, string>]>([
  ['the token endpoint', { tokenUrl: 'https://as.example/t' }, { revocation_endpoint: 'https://mtls.example/r' }],
  ['the revocation endpoint', { revocationUrl: 'https://as.example/r' }, { token_endpoint: 'https://mtls.example/t' }],
  ['no endpoint', {}, { token_endpoint: 'https://mtls.example/t', revocation_endpoint: 'https://mtls.example/r' }]
])('T2 N43: where the user names %s, the metadata has no other one for client certificates', async (_name, options, left) => {
  const aliases = { token_endpoint: 'https://mtls.example/t', revocation_endpoint: 'https://mtls.example/r' }
  const web = {
    [resourceDocument]: { resource: mcp, authorization_servers: [first] },
    [documentOf(first)]: { ...metadataOf(first), mtls_endpoint_aliases: aliases }
  }
  expect((await find({ options, web })).authorizationServer.mtls_endpoint_aliases).toEqual(left)
})

describe('N42: a server of before 2025-06-18', () => {
  const own = 'https://mcp.example.com'

  test('is its own authorization server, by its metadata', async () => {
    const { authorizationServer, resource, metadata } = await find({ web: { [documentOf(own)]: metadataOf(own) } })
    expect({ issuer: authorizationServer.issuer, resource, metadata }).toEqual({ issuer: own, resource: mcp, metadata: undefined })
  })

  test('has the default endpoints when it has refused a request, and is none when it has not', async () => {
    expect((await find({ web: {} })).authorizationServer.token_endpoint).toBe(`${own}/token`)
    await expect(find({ web: {}, refused: false })).rejects.toMatchObject({
      code: 'MCPAUTH_DISCOVERY_FAILED',
      message: expect.stringContaining('did not ask for a login')
    })
  })

  const byHand = { authorizationUrl: 'https://as.example/a', tokenUrl: 'https://as.example/t' }
  const named = { authorization_endpoint: byHand.authorizationUrl, token_endpoint: byHand.tokenUrl }
  const alone = { issuer: own, code_challenge_methods_supported: ['S256'], ...named }
  const broken = new McpAuthError('MCPAUTH_NETWORK', 'broken')
  const elsewhere = { clientId: 'mine', issuer: 'https://as.example/tenant' }

  test.each<[string, object, Given]>([
    ['those that are not given are discovered', { ...metadataOf(own), ...named }, { web: { [documentOf(own)]: metadataOf(own) } }],
    ['there are no others where nothing is published', alone, { web: {} }],
    ['they need no refusal', alone, { web: {}, refused: false }],
    ['N7: they need no metadata that is of another issuer', alone, { web: { [documentOf(own)]: metadataOf(first) } }],
    ['T9: they need no metadata that cannot be read', alone, { web: { [documentOf(own)]: broken } }],
    [
      'N15: a client that is registered elsewhere stays there',
      { ...alone, issuer: elsewhere.issuer },
      { web: { [documentOf(own)]: metadataOf(own) }, options: { client: elsewhere } }
    ],
    ['N15: also where nothing is published', { ...alone, issuer: elsewhere.issuer }, { web: {}, options: { client: elsewhere } }],
    [
      'a client that is registered here is no reason to leave its metadata out',
      { ...metadataOf(own), ...named },
      { web: { [documentOf(own)]: metadataOf(own) }, options: { client: { clientId: 'mine', issuer: own } } }
    ]
  ])('whose endpoints the user gives: %s', async (_name, expected, given) => {
    const { authorizationServer } = await find({ ...given, options: { ...byHand, ...given.options } })
    expect(authorizationServer).toEqual(expected)
  })

  test.each<[string, Given]>([
    ['is of another issuer', { web: { [documentOf(own)]: metadataOf(first) } }],
    ['cannot be read', { web: { [documentOf(own)]: broken } }]
  ])('N7 T9: whose metadata %s is an error where the user gives no endpoints', async (_name, given) => {
    await expect(find(given)).rejects.toMatchObject({ code: expect.stringMatching(/^MCPAUTH_(ISSUER_MISMATCH|NETWORK)$/) })
  })

  test('whose endpoints the user gives is not waited for by a caller that gave up', async () => {
    const leaving = new AbortController()
    const web = { [documentOf(own)]: broken }
    await expect(find({ web, options: byHand, signal: AbortSignal.abort() })).rejects.toBe(broken)
    await expect(find({ web, options: byHand, signal: leaving.signal })).resolves.toBeDefined()
  })

  test('N15: is used by its metadata where a client belongs elsewhere and the user gives no endpoints; the client is refused later', async () => {
    expect(await issuerOf({ web: { [documentOf(own)]: metadataOf(own) }, options: { client: elsewhere } })).toBe(own)
  })
})

test.each<[keyof OAuthOptions, string]>([
  ['authorizationUrl', 'authorization_endpoint'],
  ['tokenUrl', 'token_endpoint'],
  ['registrationUrl', 'registration_endpoint'],
  ['revocationUrl', 'revocation_endpoint'],
  ['deviceAuthorizationUrl', 'device_authorization_endpoint']
])('%s overrides its own endpoint, and the others are discovered', async (option, field) => {
  const { authorizationServer } = await find({ options: { [option]: 'https://as.example/by-hand' } })
  expect(authorizationServer).toEqual({ ...metadataOf(first), [field]: 'https://as.example/by-hand' })
})

describe('N23, N24: the resource that is sent', () => {
  const covering = {
    [resourceDocument]: { resource: 'https://mcp.example.com', authorization_servers: [first] },
    [documentOf(first)]: metadataOf(first)
  }
  test.each<[string, string | undefined, Given]>([
    ['is what the metadata says, verbatim', 'https://mcp.example.com', { web: covering }],
    ['is the user’s', 'https://other.example/r', { web: covering, options: { resource: 'https://other.example/r' } }],
    ['is the server’s URL where nobody says', mcp, { web: {} }],
    ['is none where the user says so', undefined, { web: covering, options: { dangerouslyOmitResource: true } }]
  ])('%s', async (_name, expected, given) => {
    expect((await find(given)).resource).toBe(expected)
  })
})

test('a discovery ends with its caller, and by itself', async () => {
  expect((await find()).signals.every((signal) => signal instanceof AbortSignal)).toBe(true)
  const leaving = new AbortController()
  const { signals } = await find({ signal: leaving.signal })
  expect(signals.every((signal) => signal !== leaving.signal && !signal?.aborted)).toBe(true)
  leaving.abort()
  expect(signals.every((signal) => signal?.aborted)).toBe(true)
})

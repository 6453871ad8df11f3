import { fileStore, memoryStore } from '@mcpauth/token-store'
import { expect, test } from 'vitest'
import { browserLogin, clientCredentials, oauthTokens, withOAuth } from '../src/index.ts'
import { checkClientMetadataUrl, checkHttps, checkOptions, checkScope } from '../src/options.ts'

const url = 'https://mcp.example.com/mcp'

test.each<[string, Record<string, unknown>]>([
  ['login', { login: 'browser' }],
  ['grant', { grant: 'client_credentials' }],
  ['grant', { grant: () => undefined }],
  ['grant', { grant: clientCredentials(), login: browserLogin() }],
  ['client.clientId', { client: { clientId: '' } }],
  ['client.clientId', { client: { clientId: 'a\nb' } }],
  ['client.clientSecret', { client: { clientId: 'a', clientSecret: 'literal' } }],
  ['client.clientSecret', { client: { clientId: 'a', clientSecret: { env: 'A', file: 'b' } } }],
  ['client.privateKey', { client: { clientId: 'a', privateKey: {} } }],
  ['client.issuer', { client: { clientId: 'a', issuer: 'x' } }],
  ['client.tokenEndpointAuthMethod', { client: { clientId: 'a', tokenEndpointAuthMethod: 'client_secret_jwt' } }],
  ['client.tokenEndpointAuthMethod', { client: { clientId: 'a', tokenEndpointAuthMethod: 'client_secret_basic' } }],
  ['client.tokenEndpointAuthMethod', { client: { clientId: 'a', tokenEndpointAuthMethod: 'private_key_jwt' } }],
  ['clientMetadataUrl', { clientMetadataUrl: 'http://client.example.com/x' }],
  ['clientName', { clientName: '' }],
  ['scope', { scope: 'a  b' }],
  ['scope', { scope: 'a"b' }],
  ['scope', { scope: '' }],
  ['scope', { scope: ['a'] }],
  ['profile', { profile: '../x' }],
  ['refreshAheadSeconds', { refreshAheadSeconds: -1 }],
  ['loginWaitMs', { loginWaitMs: Number.NaN }],
  ['loginTimeoutMs', { loginTimeoutMs: 0 }],
  ['lockWaitMs', { lockWaitMs: 0 }],
  ['resource', { resource: 'x' }],
  ['resource', { resource: 'https://a.example/#b' }],
  ['dangerouslyOmitResource', { resource: 'https://a.example', dangerouslyOmitResource: true }],
  ['tokenUrl', { tokenUrl: 'http://as.example.com/token' }],
  ['tokenUrl', { tokenUrl: 'https://user:password@as.example.com/token' }],
  ['authorizationUrl', { authorizationUrl: 'https://as.example.com/#x' }],
  ['registrationUrl', { registrationUrl: 'javascript:alert(1)' }],
  ['revocationUrl', { revocationUrl: '/revoke' }],
  ['client.redirectUris', { client: { clientId: 'a', redirectUris: 'http://127.0.0.1/callback' } }],
  ['client.redirectUris', { client: { clientId: 'a', redirectUris: ['/callback'] } }],
  ['scopeOnRefresh', { scopeOnRefresh: 'always' }],
  ['chooseAuthorizationServer', { chooseAuthorizationServer: 'https://as.example.com' }]
])('a bad %s is refused at construction, by its name: %j', (name, options) => {
  expect(() => oauthTokens(url, { store: memoryStore(), ...options } as never)).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining(`option ${name}:`) })
  )
})

test('N31: a server without https is refused, unless it is loopback', () => {
  expect(() => withOAuth('http://mcp.example.com/mcp')).toThrow(expect.objectContaining({ code: 'MCPAUTH_INSECURE_URL' }))
  expect(() => withOAuth('http://127.0.0.1:1/mcp', { store: memoryStore() })).not.toThrow()
  expect(() => withOAuth('http://mcp.example.com/mcp', { store: memoryStore(), dangerouslyAllowHttp: true })).not.toThrow()
})

test('no error of an option quotes what may be a secret', () => {
  for (const options of [
    { client: { clientId: 'a', clientSecret: 'the-literal-secret' } },
    { tokenUrl: 'https://user:the-literal-secret@as.example.com/token' }
  ]) {
    try {
      oauthTokens(url, options as never)
      expect.unreachable()
    } catch (error) {
      expect(`${(error as Error).stack}${JSON.stringify(error)}`).not.toContain('the-literal-secret')
    }
  }
})

test.each([
  [{ scopes: 'a' }, 'scopes', 'scope'],
  [{ token_url: 'https://as.example.com/token' }, 'token_url', 'tokenUrl'],
  [{ dangerouslyAllowHTTP: true }, 'dangerouslyAllowHTTP', 'dangerouslyAllowHttp'],
  [{ refreshAheadSecond: 1 }, 'refreshAheadSecond', 'refreshAheadSeconds'],
  [{ client: { clientID: 'a', clientId: 'a' } }, 'client.clientID', 'clientId'],
  [{ toString: 1 }, 'toString', undefined],
  [{ somethingElse: 1 }, 'somethingElse', undefined]
])('an option that does not exist is refused: %j', (options, name, meant) => {
  expect(() => withOAuth(url, { store: memoryStore(), ...options } as never)).toThrow(
    expect.objectContaining({
      code: 'MCPAUTH_INVALID_OPTION',
      message: `option ${name}: does not exist`,
      hint: meant && `did you mean ${meant}?`
    })
  )
})

const settingsOf = (options: Record<string, unknown> = {}) =>
  checkOptions(url, { store: memoryStore(), ...options } as never, { FROM: 'the process' })

test('what is not said has its default, in milliseconds', () => {
  expect(settingsOf()).toMatchObject({
    server: new URL(url),
    key: { kind: 'server', url },
    clientName: 'mcpauth',
    refreshAheadMs: 60_000,
    loginWaitMs: 45_000,
    loginTimeoutMs: 300_000,
    lockWaitMs: 180_000,
    now: Date.now,
    env: { FROM: 'the process' }
  })
  expect(settingsOf().key).not.toHaveProperty('profile')
  const now = (): number => 0
  expect(settingsOf({ profile: 'work', refreshAheadSeconds: 5, clientName: 'Agent', now, env: { FROM: 'me' } })).toMatchObject({
    key: { kind: 'server', url, profile: 'work' },
    refreshAheadMs: 5_000,
    clientName: 'Agent',
    now,
    env: { FROM: 'me' }
  })
})

test.each<Record<string, unknown>>([
  { refreshAheadSeconds: 0 },
  { refreshAheadSeconds: 86_400 },
  { loginWaitMs: 0 },
  { loginWaitMs: 3_600_000 },
  { loginTimeoutMs: 1_000 },
  { loginTimeoutMs: 3_600_000 },
  { lockWaitMs: 100 },
  { lockWaitMs: 3_600_000 },
  { profile: 'a'.repeat(64) },
  { profile: 'Az09_.@+-' },
  { scopeOnRefresh: 'omit' },
  { scopeOnRefresh: 'requested' },
  { refreshIsolation: 'none' },
  { resource: 'urn:example:resource' },
  { dangerouslyOmitResource: true },
  { grant: clientCredentials() },
  { login: browserLogin() },
  { chooseAuthorizationServer: () => 'x' },
  { tokenUrl: 'http://127.0.0.1:1/token' },
  { tokenUrl: 'http://as.example.com/token', dangerouslyAllowHttp: true },
  { client: { clientId: 'a b', clientSecret: { env: 'A' }, tokenEndpointAuthMethod: 'client_secret_post' } },
  { client: { clientId: 'a', privateKey: { file: 'key.pem' }, tokenEndpointAuthMethod: 'private_key_jwt' } },
  { client: { clientId: 'a', tokenEndpointAuthMethod: 'none', issuer: 'https://as.example.com' } },
  { client: { clientId: 'a', redirectUris: ['http://127.0.0.1/callback'] } }
])('an option is taken up to its limits: %j', (options) => {
  expect(() => settingsOf(options)).not.toThrow()
})

test.each<[string, Record<string, unknown>]>([
  ['refreshAheadSeconds', { refreshAheadSeconds: 86_401 }],
  ['refreshAheadSeconds', { refreshAheadSeconds: '60' }],
  ['loginWaitMs', { loginWaitMs: 3_600_001 }],
  ['loginWaitMs', { loginWaitMs: -1 }],
  ['loginTimeoutMs', { loginTimeoutMs: 999 }],
  ['loginTimeoutMs', { loginTimeoutMs: 3_600_001 }],
  ['lockWaitMs', { lockWaitMs: 99 }],
  ['lockWaitMs', { lockWaitMs: Number.POSITIVE_INFINITY }],
  ['profile', { profile: 'a'.repeat(65) }],
  ['profile', { profile: '' }],
  ['profile', { profile: 'a/' }],
  ['profile', { profile: '/a' }],
  ['profile', { profile: 5 }],
  ['clientName', { clientName: 5 }],
  ['grant', { grant: { grantType: 'client_credentials' } }],
  ['grant', { grant: Object.assign(() => undefined, { grantType: 5 }) }],
  ['resource', { resource: new URL('https://a.example/') }],
  ['resource', { resource: '/mcp' }],
  ['client.clientId', { client: { clientId: 5 } }],
  ['client.clientId', { client: { clientId: 'a\u007f' } }],
  ['client.clientId', { client: { clientId: '\u0000a' } }],
  ['client.issuer', { client: { clientId: 'a', issuer: 5 } }],
  ['client.issuer', { client: { clientId: 'a', issuer: new URL('https://as.example.com') } }],
  ['client.tokenEndpointAuthMethod', { client: { clientId: 'a', tokenEndpointAuthMethod: 'client_secret_post', privateKey: () => 'k' } }],
  ['client.tokenEndpointAuthMethod', { client: { clientId: 'a', tokenEndpointAuthMethod: 'private_key_jwt', clientSecret: () => 's' } }],
  ['client.tokenEndpointAuthMethod', { client: { clientId: 'a', tokenEndpointAuthMethod: 'client_secret_jwt', clientSecret: () => 's' } }],
  ['client.tokenEndpointAuthMethod', { client: { clientId: 'a', tokenEndpointAuthMethod: '' } }],
  ['deviceAuthorizationUrl', { deviceAuthorizationUrl: 'http://as.example.com/device' }],
  ['clientMetadataUrl', { clientMetadataUrl: 'https://client.example.com/' }],
  ['clientMetadataUrl', { clientMetadataUrl: 'https://client.example.com/a/../b' }],
  ['refreshIsolation', { refreshIsolation: 'thread' }],
  ['refreshIsolation', { refreshIsolation: 'process' }]
])('beyond its limits a %s is refused by its name: %j', (name, options) => {
  expect(() => settingsOf(options)).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining(`option ${name}:`) })
  )
})

const elsewhere = { store: fileStore({ root: '/nonexistent' }), refreshIsolation: 'process' }

test('T8: a helper process refreshes where it could do what this process would', () => {
  expect(() => settingsOf(elsewhere)).not.toThrow()
  for (const options of [
    { ...elsewhere, dispatcher: { dispatch: () => true } },
    { ...elsewhere, store: memoryStore() },
    { ...elsewhere, refreshIsolation: '' }
  ])
    expect(() => settingsOf(options)).toThrow(expect.objectContaining({ message: expect.stringContaining('option refreshIsolation:') }))
})

test('the store is the one that was given', async () => {
  const store = memoryStore()
  const key = { kind: 'server', url } as const
  await store.transact(key, (held) => held.write({ version: 1, access_token: 'a', generation: 1 } as never), { deadlineMs: 1_000 })
  expect(await settingsOf({ store }).store.read(key)).toMatchObject({ access_token: 'a' })
})

test.each([[null], ['options'], [5]])('options that are %j are refused', (options) => {
  expect(() => checkOptions(url, options as never)).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining('option options:') })
  )
})

test.each<[string, boolean, boolean]>([
  ['https://as.example.com/token', false, true],
  ['http://127.0.0.1:1/token', false, true],
  ['http://[::1]/token', false, true],
  ['http://as.example.com/token', false, false],
  ['http://as.example.com/token', true, true],
  ['ftp://as.example.com/token', true, false],
  ['ftp://127.0.0.1/token', true, false],
  ['javascript:alert(1)', true, false],
  ['https://user@as.example.com/', false, false],
  ['https://:password@as.example.com/', false, false],
  ['https://as.example.com/#x', false, false],
  ['as.example.com', false, false]
])('N31: %s, where http is allowed: %s, may be sent a secret: %s', (value, allowHttp, fine) => {
  const check = () => checkHttps('tokenUrl', value, allowHttp)
  if (fine) expect(check).not.toThrow()
  else expect(check).toThrow(expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION' }))
  expect(() => checkHttps('tokenUrl', new URL('https://as.example.com'), allowHttp)).toThrow()
})

test.each<[unknown, boolean]>([
  [undefined, true],
  ['a', true],
  ['a b:c/d.e', true],
  ['!#[]~', true],
  ['', false],
  [' a', false],
  ['a ', false],
  ['a  b', false],
  ['a\tb', false],
  ['a\\b', false],
  ['é', false],
  [null, false],
  [['a'], false]
])('a scope is a list of words (RFC 6749 §3.3): %j', (scope, fine) => {
  const check = () => checkScope(scope, 'the scope')
  if (fine) expect(check).not.toThrow()
  else expect(check).toThrow(expect.objectContaining({ message: expect.stringContaining('option the scope:') }))
})

test.each([
  ['https://client.example.com/metadata.json', true],
  ['https://client.example.com/a?b', true],
  ['http://127.0.0.1/metadata.json', false],
  ['https://client.example.com', false],
  ['https://client.example.com/a/../b', false],
  ['https://CLIENT.example.com/b', false],
  ['https://client.example.com:443/b', false]
])('N10: %s names a metadata document: %s', (value, fine) => {
  if (fine) expect(() => checkClientMetadataUrl(value)).not.toThrow()
  else expect(() => checkClientMetadataUrl(value)).toThrow(expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION' }))
})

import { memoryStore } from '@mcpauth/token-store'
import { expect, test } from 'vitest'
import { browserLogin, clientCredentials, oauthTokens, withOAuth } from '../src/index.ts'

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

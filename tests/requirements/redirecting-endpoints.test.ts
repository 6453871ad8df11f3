// Whatever an authorization server answers with a redirect: nothing of ours goes there.
import { browserLogin, deviceLogin, oauthTokens } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { describe, expect, test } from 'vitest'
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  type Endpoint,
  startAuthorizationServer,
  startMcpServerV2,
  startRecordingServer
} from '../servers/index.ts'

const person = (as: AuthorizationServer): ReturnType<typeof browserLogin> =>
  browserLogin({ open: async (url) => void (await as.approve(url)), print: () => undefined })

describe.each([301, 302, 303, 307, 308])('T5: %i', (status) => {
  test.each<[Endpoint, AuthorizationServerOptions]>([
    ['registration', {}],
    ['token', {}],
    ['par', { par: 'required' }]
  ])('from the %s endpoint is not followed at a login', async (endpoint, options) => {
    await using elsewhere = await startRecordingServer()
    await using as = await startAuthorizationServer(options)
    await using server = await startMcpServerV2({ authorizationServer: as })
    const redirect = as.fault(endpoint, { kind: 'redirect', to: elsewhere.url, status })
    const tokens = oauthTokens(server.url, { login: person(as), store: memoryStore() })
    await expect(tokens.login()).rejects.toMatchObject({ code: expect.stringMatching(/^MCPAUTH_/) })
    expect(redirect.hits).toBeGreaterThan(0)
    expect(elsewhere.requests).toEqual([])
  })

  test('from the device authorization endpoint is not followed', async () => {
    await using elsewhere = await startRecordingServer()
    await using as = await startAuthorizationServer({ deviceFlow: true })
    await using server = await startMcpServerV2({ authorizationServer: as })
    const redirect = as.fault('device', { kind: 'redirect', to: elsewhere.url, status })
    const tokens = oauthTokens(server.url, { grant: deviceLogin({ show: () => undefined }), store: memoryStore() })
    await expect(tokens.login()).rejects.toMatchObject({ code: expect.stringMatching(/^MCPAUTH_/) })
    expect(redirect.hits).toBeGreaterThan(0)
    expect(elsewhere.requests).toEqual([])
  })

  test('N41: from the revocation endpoint is not followed, and the logout forgets the tokens all the same', async () => {
    await using elsewhere = await startRecordingServer()
    await using as = await startAuthorizationServer()
    await using server = await startMcpServerV2({ authorizationServer: as })
    const tokens = oauthTokens(server.url, { login: person(as), store: memoryStore() })
    await tokens.login()
    const redirect = as.fault('revocation', { kind: 'redirect', to: elsewhere.url, status })
    await tokens.logout()
    expect(redirect.hits).toBeGreaterThan(0)
    expect(elsewhere.requests).toEqual([])
    expect(await tokens.status()).toMatchObject({ loggedIn: false })
  })
})

test.each([
  ['an address for machines of the same network', 'http://169.254.169.254/latest/meta-data', 'MCPAUTH_ADDRESS_REFUSED'],
  ['a private address', 'http://10.0.0.1/', 'MCPAUTH_ADDRESS_REFUSED'],
  ['a private address in IPv6 clothes', 'http://[::ffff:10.0.0.1]/', 'MCPAUTH_ADDRESS_REFUSED'],
  ['another scheme', 'https://127.0.0.1:1/', 'MCPAUTH_OAUTH_RESPONSE'],
  ['a file', 'file:///etc/passwd', 'MCPAUTH_OAUTH_RESPONSE']
])('N34 T4: metadata that redirects to %s is not followed', async (_, to, code) => {
  await using as = await startAuthorizationServer()
  await using server = await startMcpServerV2({ authorizationServer: as })
  as.fault('metadata', { kind: 'redirect', to, status: 302 })
  const tokens = oauthTokens(server.url, { login: person(as), store: memoryStore() })
  await expect(tokens.login()).rejects.toMatchObject({ code })
  expect(as.ledger).toMatchObject({ registrations: 0, logins: 0 })
})

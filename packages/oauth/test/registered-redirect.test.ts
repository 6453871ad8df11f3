import { expect, test } from 'vitest'
import type { Login } from '../src/login.ts'
import { checkRedirectUri, checkRegisteredUris } from '../src/registered-redirect.ts'
import { scene } from './small-servers.ts'

test.each([
  ['http://127.0.0.1/callback', 'http://127.0.0.1:51234/callback'],
  ['http://127.0.0.1:8080/callback', 'http://127.0.0.1:51234/callback'],
  ['http://[::1]/callback', 'http://[::1]:51234/callback'],
  ['http://localhost/callback', 'http://localhost:51234/callback'],
  ['https://app.example.com/callback', 'https://app.example.com/callback'],
  ['com.example.app:/callback', 'com.example.app:/callback']
])('RFC 8252 §7.3: %s serves %s', (registered, used) => {
  expect(() => checkRedirectUri(['https://other.example.com/', registered], used)).not.toThrow()
})

test.each([
  ['http://127.0.0.1/callback', 'http://127.0.0.1:51234/other'],
  ['http://127.0.0.1/callback', 'http://[::1]:51234/callback'],
  ['http://localhost/callback', 'http://127.0.0.1:51234/callback'],
  ['http://127.0.0.1/callback', 'http://127.0.0.1:51234/callback?x'],
  ['https://127.0.0.1/callback', 'http://127.0.0.1:51234/callback'],
  ['https://127.0.0.1/callback', 'https://127.0.0.1:8443/callback'],
  ['https://app.example.com/callback', 'https://app.example.com:8443/callback'],
  ['com.example.app:/callback', 'com.example.app:/other']
])('RFC 8252 §7.3: %s does not serve %s', (registered, used) => {
  expect(() => checkRedirectUri([registered], used)).toThrow(expect.objectContaining({ code: 'MCPAUTH_CLIENT_MISMATCH' }))
})

test('a login that comes back to another place than the client is registered with fails before a person is asked', async () => {
  await using world = await scene()
  const client = (uri: string) => ({ clientId: 'by-hand', redirectUris: [uri] })
  await expect(world.tokensWith({ client: client('http://127.0.0.1/elsewhere') }).login()).rejects.toMatchObject({
    code: 'MCPAUTH_CLIENT_MISMATCH',
    message: expect.stringMatching(/127\.0\.0\.1:9\/callback.*127\.0\.0\.1\/elsewhere/)
  })
  expect(world.login.asked).toEqual([])
  expect(await world.tokensWith({ client: client('http://127.0.0.1/callback') }).login()).toMatchObject({ loggedIn: true })
})

test.each(['http://192.0.2.1/callback', 'http://127.0.0.1.example.com/callback', 'http://app.example.com/callback', '/callback'])(
  'N31: a login of one’s own that comes back to %s fails before anything is registered or anyone asked',
  async (redirectUri) => {
    await using world = await scene()
    const login: Login = async () => ({ ...(await world.login()), redirectUri })
    await expect(world.tokensWith({ login }).login()).rejects.toMatchObject({
      code: 'MCPAUTH_INSECURE_URL',
      message: expect.stringContaining(redirectUri)
    })
    expect(world.login.asked).toEqual([])
    expect(world.as.at('/register')).toEqual([])
  }
)

test('a user who has not said what the client is registered with is believed', () => {
  expect(() => checkRedirectUri(undefined, 'http://127.0.0.1:9/callback')).not.toThrow()
})

test.each<[unknown, boolean]>([
  [['http://127.0.0.1/callback'], true],
  [['com.example.app:/callback', 'https://app.example.com/'], true],
  ['http://127.0.0.1/callback', false],
  [[], false],
  [['/callback'], false],
  [['https://app.example.com/#part'], false],
  [['https://app.example.com/#'], false],
  [['https://app.example.com/', 5], false],
  [[new URL('https://app.example.com/')], false],
  [undefined, false]
])('redirect URIs of a client are a list of absolute URIs without fragment: %j', (uris, fine) => {
  const check = () => checkRegisteredUris('client.redirectUris', uris)
  if (fine) expect(check).not.toThrow()
  else expect(check).toThrow(expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION' }))
})

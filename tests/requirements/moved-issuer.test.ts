// A server that names another authorization server from one day to the next: what belongs to the old one stays there.
import { authFetch, type TokenStore } from '@mcpauth/core'
import { browserLogin, type ClientOptions, type OAuthOptions, type OAuthTokens, oauthTokens, withOAuth } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { expect, test } from 'vitest'
import { type AuthorizationServer, startAuthorizationServer, startMcpServerV1 } from '../servers/index.ts'
import { connect, type WireClient } from '../wire/clients.ts'
import { type Attacker, startAttacker } from './attacker.ts'

const clientSecret = 'the-secret-of-the-registered-client'
const registered: ClientOptions = {
  clientId: 'registered',
  clientSecret: () => clientSecret,
  tokenEndpointAuthMethod: 'client_secret_basic'
}

interface Move extends AsyncDisposable {
  readonly honest: AuthorizationServer
  readonly attacker: Attacker
  readonly client: WireClient
  readonly tokens: OAuthTokens
  readonly store: TokenStore
  readonly url: URL
  /** From now on the server refuses every token. */
  expire(): void
  /** The same, and it names the attacker. */
  move(): void
  /** What the attacker must never see. */
  secrets(): Promise<string[]>
}

/** Logged in at the honest server; what `options` add is used for the login and afterwards. */
async function loggedIn(options: OAuthOptions = {}): Promise<Move> {
  const honest = await startAuthorizationServer({
    clients: [
      {
        client_id: 'registered',
        client_secret: clientSecret,
        redirect_uris: ['http://127.0.0.1/callback'],
        application_type: 'native',
        grant_types: ['authorization_code', 'refresh_token']
      }
    ]
  })
  const attacker = await startAttacker()
  let issuer = honest.issuer
  const named = {
    get issuer() {
      return issuer
    },
    get issuedTokens() {
      return honest.issuedTokens
    }
  }
  const server = await startMcpServerV1({ authorizationServer: named })
  const store = memoryStore()
  const open = async (url: URL): Promise<void> => {
    if (url.origin === honest.issuer) await honest.approve(url)
    else await (await fetch(url)).text()
  }
  const tokens = oauthTokens(server.url, { login: browserLogin({ open, print: () => undefined }), store, ...options })
  await tokens.login()
  const before = await store.read({ kind: 'server', url: server.url.href })
  const client = await connect({ sdk: 'v1', transport: 'http' }, server.url, withOAuth(server.url, tokens))
  await client.call('echo', { text: 'x' })
  return {
    honest,
    attacker,
    client,
    tokens,
    store,
    url: server.url,
    expire: server.expire,
    move() {
      server.expire()
      issuer = attacker.issuer
    },
    async secrets() {
      const found = [
        before?.access_token,
        before?.refresh_token,
        clientSecret,
        Buffer.from(`registered:${clientSecret}`).toString('base64')
      ]
      return found.filter((secret) => secret !== undefined)
    },
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
      await attacker[Symbol.asyncDispose]()
      await honest[Symbol.asyncDispose]()
    }
  }
}

test('T2 N15: a client that was registered by itself registers anew, and nothing of the old login reaches the new server', async () => {
  await using scene = await loggedIn()
  scene.move()
  // The attacker's token is none that the server takes: the call fails, and that it does is not the point.
  await scene.client.call('echo', { text: 'x' }).catch(() => undefined)
  expect(scene.attacker.at('/register')).toHaveLength(1)
  expect(scene.attacker.at('/token')).toHaveLength(1)
  expect(new URLSearchParams(scene.attacker.at('/token')[0]?.body).get('client_id')).toBe('client-of-the-attacker')
  for (const secret of await scene.secrets()) expect(scene.attacker.transcript()).not.toContain(secret)
  expect(scene.honest.ledger).toMatchObject({ refreshes: 0, reuses: 0 })
})

test('T2 N16: a client that was registered by hand goes nowhere else, and the error says so', async () => {
  await using scene = await loggedIn({ client: registered })
  scene.move()
  await expect(scene.client.call('echo', { text: 'x' })).rejects.toMatchObject({ code: 'MCPAUTH_CLIENT_MISMATCH' })
  expect(scene.attacker.at('/token')).toEqual([])
  expect(scene.attacker.at('/authorize')).toEqual([])
  for (const secret of await scene.secrets()) expect(scene.attacker.transcript()).not.toContain(secret)
})

test.each<[string, (scene: Move) => Promise<unknown>]>([
  ['a logout', ({ tokens }) => tokens.logout()],
  [
    'the end of its grant',
    async ({ honest, store, url, expire }) => {
      // In a process that nobody sits at.
      await using send = authFetch(withOAuth(url, { store, client: registered }))
      honest.fault('token', { kind: 'status', status: 400, body: '{"error":"invalid_grant"}' }, { times: 1 })
      expire()
      await expect(send(url, { method: 'POST', body: '{}' })).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
    }
  ]
])('T2 N16: its secret goes nowhere else after %s either', async (_, end) => {
  await using scene = await loggedIn({ client: registered })
  await end(scene)
  expect(await scene.tokens.status()).toMatchObject({ loggedIn: false })
  scene.move()
  await expect(scene.tokens.login()).rejects.toMatchObject({ code: 'MCPAUTH_CLIENT_MISMATCH' })
  for (const secret of await scene.secrets()) expect(scene.attacker.transcript()).not.toContain(secret)
})

import { McpAuthError, type StoreKey, type TokenRecord } from '@mcpauth/core'
import { enterpriseAuthorization, type Grant, type Login, oidcLogin } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { expect, onTestFinished, test } from 'vitest'
import { scene } from '../../packages/oauth/test/small-servers.ts'
import { type AuthorizationServer, approve, readBody, sendJson, startAuthorizationServer, startOrigin } from '../servers/index.ts'

const clientId = 'agent-at-idp'
const redirectUri = 'http://127.0.0.1:9/callback'
const agent = { clientId: 'agent', clientSecret: () => 'the-secret-of-agent' }

/** A company: a real OpenID provider, and the small server that exchanges its ID tokens for ID-JAGs. */
interface Company {
  provider: AuthorizationServer
  /** Where people were sent. */
  asked: URL[]
  /** The subjects and token ids of the ID tokens that were exchanged. */
  exchanged: string[]
  key: StoreKey
  store: ReturnType<typeof memoryStore>
  grant(): Grant
  /** Nobody answers when asked. */
  personAway: boolean
  /** Refuses the next exchange. */
  refuseNext(): void
  change(fields: Record<string, unknown>): Promise<void>
}

async function company(): Promise<Company> {
  const provider = await startAuthorizationServer({
    clients: [
      {
        client_id: clientId,
        redirect_uris: [redirectUri],
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: 'none',
        application_type: 'native'
      }
    ]
  })
  const exchanging = await startOrigin()
  onTestFinished(async () => {
    await exchanging.close()
    await provider[Symbol.asyncDispose]()
  })
  const keys = createRemoteJWKSet(new URL('/jwks', provider.issuer))
  const asked: URL[] = []
  const exchanged: string[] = []
  const store = memoryStore()
  const key: StoreKey = { kind: 'identity', issuer: provider.issuer, clientId }
  let refusals = 0

  exchanging.mount('/token', async (request, response) => {
    const form = new URLSearchParams(String(await readBody(request)))
    const idToken = form.get('subject_token') ?? ''
    if (refusals-- > 0) return sendJson(response, 400, { error: 'invalid_grant' })
    const { payload } = await jwtVerify(idToken, keys, { issuer: provider.issuer, audience: clientId })
    exchanged.push(`${payload.sub} ${idToken.slice(-20)}`)
    const issued = 'urn:ietf:params:oauth:token-type:id-jag'
    sendJson(response, 200, { access_token: `jag-${exchanged.length}`, issued_token_type: issued, token_type: 'N_A', expires_in: 60 })
  })

  const login: Login = async () => ({
    redirectUri,
    ask: async (url) => {
      asked.push(url)
      if (self.personAway) throw new McpAuthError('MCPAUTH_LOGIN_FAILED', 'nobody came')
      return (await approve(url, { followCallback: false })).searchParams
    }
  })

  const self: Company = {
    personAway: false,
    provider,
    asked,
    exchanged,
    key,
    store,
    grant: () =>
      enterpriseAuthorization({
        issuer: provider.issuer,
        tokenUrl: new URL('/token', exchanging.url).href,
        client: { clientId },
        idToken: oidcLogin({ issuer: provider.issuer, clientId, login })
      }),
    refuseNext: () => {
      refusals = 1
    },
    change: (fields) =>
      store.transact(key, async (held) => held.write({ ...(await held.read()), ...fields } as TokenRecord), { deadlineMs: 1_000 })
  }
  return self
}

test('N37: one login at the identity provider serves several MCP servers and programs', async () => {
  const acme = await company()
  await using first = await scene()
  await using second = await scene()
  const { store } = acme
  expect(await first.post(first.fetchWith({ grant: acme.grant(), client: agent, store }))).toBe(200)
  expect(await second.post(second.fetchWith({ grant: acme.grant(), client: agent, store }))).toBe(200)
  expect(acme.exchanged).toEqual([expect.stringMatching(/^alice /), expect.stringMatching(/^alice /)])
  expect(acme.asked).toHaveLength(1)
  expect(Object.fromEntries(acme.asked[0]?.searchParams ?? [])).toMatchObject({
    nonce: expect.stringMatching(/^[\w-]{43}$/),
    code_challenge_method: 'S256',
    client_id: clientId
  })
  expect(acme.asked[0]?.searchParams.has('resource')).toBe(false)
  expect(await store.read(acme.key)).toMatchObject({ issuer: acme.provider.issuer, refresh_token: expect.any(String), generation: 1 })
  // The assertion, and nothing of the identity provider's, goes to the MCP server's authorization server.
  const idToken = (await store.read(acme.key))?.access_token as string
  expect(first.as.at('/token').map(({ form }) => form.get('assertion'))).toEqual(['jag-1'])
  expect(JSON.stringify([first.as.seen, first.mcp.seen])).not.toContain(idToken)
})

test('N37: an ID token that is over is refreshed at the provider, without a person', async () => {
  const acme = await company()
  await using world = await scene()
  const fetch = world.fetchWith({ grant: acme.grant(), client: agent, store: acme.store })
  world.as.tokenFields = { refresh_token: undefined }
  expect(await world.post(fetch)).toBe(200)
  const before = await acme.store.read(acme.key)
  await acme.change({ expires_at_unix: 1 })
  world.as.live.clear()
  expect(await world.post(fetch)).toBe(200)
  const after = await acme.store.read(acme.key)
  expect(acme.asked).toHaveLength(1)
  expect(acme.exchanged).toHaveLength(2)
  expect(after).toMatchObject({ generation: 2, expires_at_unix: expect.any(Number) })
  expect(after?.refresh_token).not.toBe(before?.refresh_token)
  expect(acme.provider.ledger.reuses).toBe(0)
})

test('N37: a login that cannot be refreshed is asked for again when the server refuses, and never in the background', async () => {
  const acme = await company()
  await using world = await scene()
  world.as.tokenFields = { refresh_token: undefined }
  const tokens = world.tokensWith({ grant: acme.grant(), client: agent, store: acme.store })
  const fetch = world.fetchWith(tokens)
  expect(await world.post(fetch)).toBe(200)
  await acme.change({ expires_at_unix: 1, refresh_token: 'unknown-to-the-provider' })
  world.as.live.clear()
  expect(await world.post(fetch)).toBe(200)
  expect(acme.asked).toHaveLength(2)

  await acme.change({ expires_at_unix: 1, refresh_token: undefined })
  const late = world.tokensWith({ grant: acme.grant(), client: agent, store: acme.store, now: () => Date.now() + 3_600_000 })
  expect(await late.current()).toBeUndefined()
  expect(acme.asked).toHaveLength(2)
})

test('T19 N37: a refresh token that the provider refuses without calling it dead is sent twice, not with every request', async () => {
  const acme = await company()
  await using world = await scene()
  world.as.tokenFields = { refresh_token: undefined, expires_in: 60 }
  let clock = Date.now()
  const tokens = world.tokensWith({ grant: acme.grant(), client: agent, store: acme.store, now: () => clock })
  expect(await tokens.login()).toMatchObject({ loggedIn: true })
  acme.personAway = true
  await acme.change({ expires_at_unix: 1 })
  const refusals = acme.provider.fault('token', {
    kind: 'status',
    status: 400,
    body: '{"error":"access_denied"}',
    headers: { 'content-type': 'application/json' }
  })
  const fetch = world.fetchWith(tokens)
  for (let request = 0; request < 6; request += 1) {
    clock += 61_000
    await expect(world.post(fetch)).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  }
  expect(refusals.hits).toBe(2)
  // Nothing was deleted, and a person still helps.
  expect(await acme.store.read(acme.key)).toHaveProperty('refresh_token')
  acme.personAway = false
  refusals.clear()
  clock += 61_000
  expect(await world.post(fetch)).toBe(200)
})

test('N37: an ID token that the exchange refuses is not sent again', async () => {
  const acme = await company()
  await using world = await scene()
  const tokens = world.tokensWith({ grant: acme.grant(), client: agent, store: acme.store })
  acme.refuseNext()
  await expect(tokens.login()).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE', error: 'invalid_grant' })
  await tokens.login()
  expect(acme.asked).toHaveLength(1)
  expect(await acme.store.read(acme.key)).toMatchObject({ generation: 2 })
})

test('N37: a person who refuses at the provider is asked once', async () => {
  const acme = await company()
  await using world = await scene()
  const denying: Login = async () => ({
    redirectUri,
    ask: async (url) => {
      acme.asked.push(url)
      return (await approve(url, { followCallback: false, deny: true })).searchParams
    }
  })
  const { issuer } = acme.provider
  const grant = enterpriseAuthorization({
    issuer,
    tokenUrl: `${issuer}/token`,
    client: { clientId },
    idToken: oidcLogin({ issuer, clientId, login: denying })
  })
  const fetch = world.fetchWith({ grant, client: agent, store: acme.store })
  await expect(world.post(fetch)).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  await expect(world.post(fetch)).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  expect(acme.asked).toHaveLength(1)
})

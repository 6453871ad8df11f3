import { authFetch } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'
import { Agent } from 'undici'
import { describe, expect, test } from 'vitest'
import { withOAuth } from '../src/index.ts'
import { refreshRefusal } from '../src/refresh-refusal.ts'
import { type Answer, keyOf, scene } from './small-servers.ts'

/** What known servers answer for a dead refresh token, in their words. */
const known: [name: string, tokenEndpoint: string, answer: { status: number; body: { error: string; error_description?: string } }][] = [
  [
    'GitHub',
    'https://github.com/login/oauth/access_token',
    { status: 200, body: { error: 'bad_refresh_token', error_description: 'The refresh token passed is incorrect or expired.' } }
  ],
  ['Slack', 'https://slack.com/api/oauth.v2.user.access', { status: 200, body: { error: 'invalid_refresh_token' } }],
  [
    'Atlassian',
    'https://auth.atlassian.com/oauth/token',
    { status: 403, body: { error: 'unauthorized_client', error_description: 'refresh_token is invalid' } }
  ],
  [
    'Atlassian, as documented,',
    'https://auth.atlassian.com/oauth/token',
    { status: 403, body: { error: 'invalid_grant', error_description: 'Unknown or invalid refresh token.' } }
  ],
  [
    'Shopify',
    'https://a-shop.myshopify.com/admin/oauth/access_token',
    { status: 401, body: { error: 'invalid_request', error_description: 'This request requires an active refresh_token' } }
  ],
  ['any other server', 'https://as.example.com/token', { status: 400, body: { error: 'invalid_grant' } }]
]

/** Names that only look like a known one. */
const lookAlikes: typeof known = [
  ['https://evil-github.com/login/oauth/access_token', 0],
  ['https://github.com.evil.example/login/oauth/access_token', 0],
  ['https://sub.github.com/login/oauth/access_token', 0],
  ['https://github.com:8443/login/oauth/access_token', 0],
  ['https://slack.com.evil.example/api/oauth.v2.user.access', 1],
  ['https://auth.atlassian.com.evil.example/oauth/token', 2],
  ['https://evilmyshopify.com/admin/oauth/access_token', 4],
  ['https://myshopify.com/admin/oauth/access_token', 4],
  ['https://a-shop.myshopify.com.evil.example/admin/oauth/access_token', 4]
].map(([url, row]) => [String(url), String(url), (known[Number(row)] as (typeof known)[number])[2]])

/** Logged in at that token endpoint long ago; its requests end at the small server. */
async function loggedInAt(tokenEndpoint: string, answer: Answer) {
  const world = await scene()
  const { origin: issuer, pathname } = new URL(tokenEndpoint)
  world.mcp.metadata = { ...world.mcp.metadata, authorization_servers: [issuer] }
  world.as.overrides.set(pathname, () => answer)
  const store = memoryStore()
  const record = {
    access_token: 'an-old-access-token',
    refresh_token: 'a-refresh-token',
    issuer,
    token_endpoint: tokenEndpoint,
    client: { client_id: 'client', token_endpoint_auth_method: 'none', issuer }
  }
  await store.transact(keyOf(world.mcp), (held) => held.write(record), { deadlineMs: 1_000 })
  const agent = new Agent()
  const authorizationServerDispatcher = agent.compose(
    (dispatch) => (options, handler) =>
      dispatch(String(options.origin) === issuer ? { ...options, origin: world.as.origin } : options, handler)
  )
  const fetch = authFetch(withOAuth(world.mcp.url, { store }), { authorizationServerDispatcher })
  return {
    /** The codes of so many requests, one after the other. */
    async post(times: number): Promise<string[]> {
      const codes: string[] = []
      for (let time = 0; time < times; time += 1) codes.push(await world.post(fetch).then(String, (error) => error.code))
      return codes
    },
    refreshes: () => world.as.at(pathname).length,
    stored: () => store.read(keyOf(world.mcp)),
    [Symbol.asyncDispose]: async () => {
      await fetch[Symbol.asyncDispose]()
      await world[Symbol.asyncDispose]()
      await agent.close()
    }
  }
}

test.each(known)('a dead refresh token, as %s says it, is forgotten at once and never sent again', async (_name, tokenEndpoint, answer) => {
  await using world = await loggedInAt(tokenEndpoint, answer)
  expect(new Set(await world.post(4))).toEqual(new Set(['MCPAUTH_LOGIN_REQUIRED']))
  expect(world.refreshes()).toBe(1)
  expect(await world.stored()).not.toHaveProperty('refresh_token')
})

test.each(lookAlikes)('%s is no known server: its no deletes nothing, and is heard twice, not for ever', async (_name, url, answer) => {
  await using world = await loggedInAt(url, answer)
  expect(new Set(await world.post(4))).toEqual(new Set(['MCPAUTH_LOGIN_REQUIRED']))
  expect(world.refreshes()).toBe(2)
  expect(await world.stored()).toMatchObject({ access_token: 'an-old-access-token', refresh_token: 'a-refresh-token' })
})

test('Slack’s “not now” comes with status 200: it deletes nothing and does not count against the refresh token', async () => {
  await using world = await loggedInAt('https://slack.com/api/oauth.v2.user.access', {
    status: 200,
    body: { ok: false, error: 'ratelimited' }
  })
  expect(new Set(await world.post(4))).toEqual(new Set(['MCPAUTH_OAUTH_RESPONSE']))
  expect(world.refreshes()).toBe(4)
  expect(await world.stored()).toHaveProperty('refresh_token')
})

describe('refreshRefusal', () => {
  const github = 'https://github.com/login/oauth/access_token'
  const atlassian = 'https://auth.atlassian.com/oauth/token'
  const shop = 'https://a-shop.myshopify.com/admin/oauth/access_token'
  test.each([
    ['another error of a known server', github, { status: 200, error: 'incorrect_client_credentials' }, 'refused'],
    ['its error while it is overloaded', github, { status: 503, error: 'bad_refresh_token' }, 'unavailable'],
    ['a dead token, says a server that has failed', github, { status: 500, error: 'invalid_grant' }, 'unavailable'],
    ['its error while it limits requests', github, { status: 429, error: 'bad_refresh_token' }, 'unavailable'],
    ['its error over http', 'http://github.com/login/oauth/access_token', { status: 200, error: 'bad_refresh_token' }, 'refused'],
    ['its error from nobody', undefined, { status: 200, error: 'bad_refresh_token' }, 'refused'],
    ['its error from what is no URL', 'github.com', { status: 200, error: 'bad_refresh_token' }, 'refused'],
    ['the error of another known server', github, { status: 200, error: 'invalid_refresh_token' }, 'refused'],
    ['an error that only with its description means the token', atlassian, { status: 403, error: 'unauthorized_client' }, 'refused'],
    [
      'the same with another description',
      atlassian,
      { status: 403, error: 'unauthorized_client', error_description: 'the client is unknown' },
      'refused'
    ],
    ['a malformed request', shop, { status: 400, error: 'invalid_request', error_description: 'Missing grant_type' }, 'refused'],
    ['a page instead of an answer', github, { status: 400 }, 'unavailable'],
    ['a bare 401', 'https://as.example.com/token', { status: 401 }, 'refused'],
    ['temporarily_unavailable', 'https://as.example.com/token', { status: 400, error: 'temporarily_unavailable' }, 'unavailable'],
    ['slow_down', 'https://as.example.com/token', { status: 400, error: 'slow_down' }, 'unavailable'],
    ['server_error', 'https://as.example.com/token', { status: 400, error: 'server_error' }, 'unavailable'],
    ['Slack’s error from another server', 'https://as.example.com/token', { status: 200, error: 'ratelimited' }, 'refused']
  ])('%s', (_name, tokenEndpoint, answer, expected) => {
    expect(refreshRefusal({ error: undefined, error_description: undefined, ...answer }, tokenEndpoint)).toBe(expected)
  })

  test.each(known)('a dead refresh token, as %s says it', (_name, tokenEndpoint, { status, body }) => {
    expect(refreshRefusal({ status, error_description: undefined, ...body }, tokenEndpoint)).toBe('dead')
  })
})

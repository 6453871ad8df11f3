import { inspect } from 'node:util'
import { McpAuthError } from '@mcpauth/core'
import * as protocol from 'oauth4webapi'
import { expect, test } from 'vitest'
import { askByExtension, built, type GrantRequest, grantParameters, requestOptions, tokenEndpoint } from '../src/grants/grant.ts'
import { refreshTokenGrant } from '../src/grants/refresh-token.ts'
import { deviceLogin, enterpriseAuthorization, refreshTokenOnly } from '../src/index.ts'
import { OAuthResponseError } from '../src/oauth-response-error.ts'
import { asking, good } from './paper-asking.ts'

const anyGrant = (ask: GrantRequest) => askByExtension(ask, 'the grant', 'urn:x', {})

test('N23: a token request goes to the token endpoint, with the resource and the scope where there are any', async () => {
  const { ask, sent } = asking({ resource: 'https://mcp.example.com/mcp', scope: 'a b' })
  expect(await anyGrant(ask)).toEqual({ ...good, token_type: 'bearer' })
  expect(sent).toMatchObject([
    {
      url: 'https://as.example.com/token',
      what: 'the grant',
      method: 'POST',
      form: { client_id: 'c', grant_type: 'urn:x', resource: 'https://mcp.example.com/mcp', scope: 'a b' }
    }
  ])
  expect(sent[0]?.headers.has('dpop')).toBe(false)
  const bare = asking({})
  await anyGrant(bare.ask)
  expect(bare.sent[0]?.form).toEqual({ client_id: 'c', grant_type: 'urn:x' })
})

test('N23: what a grant adds goes before resource and scope', () => {
  expect(grantParameters(asking({ resource: 'r', scope: 's' }).ask, { scope: 't', audience: 'a' })).toEqual({
    resource: 'r',
    scope: 't',
    audience: 'a'
  })
})

/** A proof maker that counts, and knows a nonce as new the first time. */
function proofs() {
  const made: unknown[] = []
  const nonces = new Set<string | null>([null])
  return {
    made,
    maker: {
      proof: (request: unknown) => `proof-${made.push(request)}`,
      observe: (_url: URL, headers: Headers) => {
        const nonce = headers.get('dpop-nonce')
        const known = nonces.has(nonce)
        nonces.add(nonce)
        return !known
      }
    }
  }
}

const noNonce = (nonce?: string) =>
  Response.json({ error: 'use_dpop_nonce' }, { status: 400, ...(nonce === undefined ? {} : { headers: { 'dpop-nonce': nonce } }) })

test('N38: a new nonce is answered once, with a fresh proof', async () => {
  const { made, maker } = proofs()
  const { ask, sent } = asking({ dpop: maker }, noNonce('n-1'))
  expect(await anyGrant(ask)).toMatchObject({ access_token: good.access_token })
  expect(sent.map(({ headers }) => headers.get('dpop'))).toEqual(['proof-1', 'proof-2'])
  expect(made).toEqual(Array(2).fill({ method: 'POST', url: new URL('https://as.example.com/token') }))
})

test.each<[string, Array<Response | Error>, number]>([
  ['a nonce that is not new', [noNonce()], 1],
  ['a second new nonce', [noNonce('n-1'), noNonce('n-2')], 2],
  ['another error with a new nonce', [Response.json({ error: 'invalid_grant' }, { status: 400, headers: { 'dpop-nonce': 'n-1' } })], 1],
  ['an error of the network', [new McpAuthError('MCPAUTH_NETWORK', 'use_dpop_nonce')], 1]
])('N38: %s is not answered', async (_name, answers, times) => {
  const { ask, sent } = asking({ dpop: proofs().maker }, ...answers)
  await expect(anyGrant(ask)).rejects.toMatchObject({ code: expect.stringMatching(/^MCPAUTH_(OAUTH_RESPONSE|NETWORK)$/) })
  expect(sent).toHaveLength(times)
})

test('N38: without a key there is no proof, and no second try', async () => {
  const { ask, sent } = asking({}, noNonce('n-1'))
  await expect(anyGrant(ask)).rejects.toMatchObject({ error: 'use_dpop_nonce' })
  expect(sent).toHaveLength(1)
})

test('T9: what oauth4webapi takes for no answer is an error without the token', async () => {
  const { ask } = asking({}, Response.json({ ...good, token_type: 'unheard-of' }))
  const error = await anyGrant(ask).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE', status: 200 })
  expect(inspect(error, { showHidden: true, depth: 9 })).not.toContain('the-access-token')
})

test('an ID token in an answer is for the one who asked for it to verify', async () => {
  const { ask } = asking({}, Response.json({ ...good, id_token: 'not.a.jwt' }), Response.json({ ...good, token_type: 'N_A' }))
  expect(await anyGrant(ask)).toMatchObject({ id_token: 'not.a.jwt' })
  expect(await anyGrant(ask)).toMatchObject({ token_type: 'n_a' })
})

test.each<[string, Record<string, unknown>, Record<string, unknown>, string]>([
  ['the token endpoint', {}, {}, 'https://as.example.com/token'],
  [
    'not the alias for certificates where none is used',
    { mtls_endpoint_aliases: { token_endpoint: 'https://mtls.example.com/t' } },
    {},
    'https://as.example.com/token'
  ],
  [
    'the alias for certificates',
    { mtls_endpoint_aliases: { token_endpoint: 'https://mtls.example.com/t' } },
    { use_mtls_endpoint_aliases: true },
    'https://mtls.example.com/t'
  ],
  ['the token endpoint where there is no alias', {}, { use_mtls_endpoint_aliases: true }, 'https://as.example.com/token'],
  [
    'the token endpoint where the aliases are of others',
    { mtls_endpoint_aliases: {} },
    { use_mtls_endpoint_aliases: true },
    'https://as.example.com/token'
  ]
])('N43: a token request goes to %s', (_name, server, client, expected) => {
  const { ask } = asking({})
  const changed = { ...ask, authorizationServer: { ...ask.authorizationServer, ...server }, client: { ...ask.client, ...client } }
  expect(tokenEndpoint(changed as GrantRequest).href).toBe(expected)
})

test.each([undefined, '/token', 'no URL'])('a token endpoint that is %j is none', (token_endpoint) => {
  const { ask } = asking({ authorizationServer: { issuer: 'https://as.example.com', token_endpoint } as never })
  expect(() => tokenEndpoint(ask)).toThrow(expect.objectContaining({ code: 'MCPAUTH_DISCOVERY_FAILED' }))
})

test('T13: what oauth4webapi throws is neither chained nor more than its text; an error of ours goes through', async () => {
  const ours = new McpAuthError('MCPAUTH_TIMEOUT', 'late')
  await expect(built(() => Promise.reject(ours))).rejects.toBe(ours)
  const theirs = new TypeError('wrong', { cause: { body: { access_token: 'the-access-token' } } })
  const error = await built(() => Promise.reject(theirs)).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE', message: expect.stringContaining('wrong') })
  expect(inspect(error, { showHidden: true, depth: 9 })).not.toContain('the-access-token')
})

test('a request ends with its deadline or its caller', async () => {
  const { signal } = new AbortController()
  const { ask, sent } = asking({ signal })
  const [send] = Object.getOwnPropertySymbols(requestOptions(protocol, ask, 'x', { deadlineMs: 7 }))
    .map((name) => (requestOptions(protocol, ask, 'x', { deadlineMs: 7 }) as unknown as Record<symbol, unknown>)[name])
    .filter((value) => typeof value === 'function') as [(url: string, init: object) => Promise<Response>]
  await send('https://as.example.com/x', { method: 'POST', headers: {}, body: new URLSearchParams({ a: 'b' }) })
  expect(sent).toMatchObject([{ method: 'POST', form: { a: 'b' }, limits: { deadlineMs: 7, signal } }])
})

test('rule 4: a refresh is not ended by a caller that gives up, only by its own deadline', async () => {
  const { ask, sent } = asking({ signal: AbortSignal.abort(), resource: 'https://mcp.example.com/mcp' })
  await refreshTokenGrant(ask, 'the-refresh-token')
  expect(sent).toMatchObject([
    {
      what: 'the refresh',
      form: { grant_type: 'refresh_token', refresh_token: 'the-refresh-token', resource: 'https://mcp.example.com/mcp' },
      limits: { deadlineMs: 60_000, signal: undefined }
    }
  ])
  expect(sent[0]?.form).not.toHaveProperty('scope')
})

test('a durable refresh token is exchanged for what it was granted, whatever scope is wished for', async () => {
  const { ask, sent } = asking({ scope: 'more', env: { CI: 'the-durable-token' } })
  await refreshTokenOnly({ refreshToken: { env: 'CI' } })(ask)
  expect(sent[0]?.form).toEqual({ client_id: 'c', grant_type: 'refresh_token', refresh_token: 'the-durable-token' })
})

test('N40: a device login that is given up ends with the question that was on its way', async () => {
  const giving = new AbortController()
  const late = new McpAuthError('MCPAUTH_TIMEOUT', 'late')
  const authorization = Response.json({ device_code: 'd', user_code: 'u', verification_uri: 'https://as.example.com/activate' })
  const { ask, sent } = asking({ signal: giving.signal, now: Date.now }, authorization, late)
  const server = { ...ask.authorizationServer, device_authorization_endpoint: 'https://as.example.com/device' }
  const wait = async (): Promise<void> => giving.abort()
  await expect(deviceLogin({ show: () => undefined, wait })({ ...ask, authorizationServer: server })).rejects.toBe(late)
  expect(sent.map(({ url }) => url)).toEqual(['https://as.example.com/device', 'https://as.example.com/token'])
})

test.each([
  ['invalid_grant', ['the.id.token']],
  ['invalid_client', []]
])('N37: an ID token that the provider refuses with %s is known to the login as refused: %j', async (error, expected) => {
  const refused: string[] = []
  const idToken = {
    prepare: async () => undefined,
    idToken: async () => 'the.id.token',
    refused: (token: string) => void refused.push(token)
  }
  const { ask } = asking({ env: {}, now: Date.now }, Response.json({ error }, { status: 400 }))
  const idp = { issuer: 'https://idp.example.com', tokenUrl: 'https://idp.example.com/token', client: { clientId: 'c' } }
  const grant = enterpriseAuthorization({ ...idp, idToken })
  await expect(grant({ ...ask, networkFrom: () => ({ network: ask.network }) as never })).rejects.toBeInstanceOf(OAuthResponseError)
  expect(refused).toEqual(expected)
  expect(grant.prepare).toBe(idToken.prepare)
})

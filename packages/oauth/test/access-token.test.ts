import { secrets } from '@mcpauth/core'
import { expect, test } from 'vitest'
import { accessTokenOf, grantedRecord, refreshedRecord } from '../src/access-token.ts'

const nowMs = 1_700_000_000_600
const client = { client_id: 'mine', token_endpoint_auth_method: 'none' }
const facts = {
  issuer: 'https://as.example.com',
  tokenEndpoint: 'https://as.example.com/token',
  resource: 'https://r',
  requestedScope: 'a b',
  client
}

test('the token of a record says what the record says, and nothing else', () => {
  const record = { access_token: 'at', token_type: 'Bearer', scope: 'a b', expires_at_unix: 1_700, generation: 7 }
  expect(accessTokenOf(record, 'stored', 'https://mcp.example.com')).toStrictEqual({
    value: 'at',
    scheme: 'Bearer',
    generation: 7,
    origin: 'stored',
    expiresAtMs: 1_700_000,
    scopes: ['a', 'b']
  })
  expect(accessTokenOf({ access_token: 'at' }, 'granted', 'https://mcp.example.com')).toEqual({
    value: 'at',
    scheme: 'Bearer',
    generation: 0,
    origin: 'granted'
  })
})

test.each([undefined, {}, { refresh_token: 'r' }, { access_token: '' }])('%j holds no token', (record) => {
  expect(accessTokenOf(record, 'stored', 'https://mcp.example.com')).toBeUndefined()
})

test.each([
  ['DPoP', 'DPoP'],
  ['dpop', 'DPoP'],
  ['DPOP', 'DPoP'],
  ['bearer', 'Bearer'],
  ['mac', 'Bearer'],
  [undefined, 'Bearer']
])('N38: a stored token of type %s goes with the scheme %s', (token_type, scheme) => {
  expect(
    accessTokenOf({ access_token: 'at', ...(token_type === undefined ? {} : { token_type }) }, 'stored', 'https://mcp.example.com')?.scheme
  ).toBe(scheme)
})

test('T13: every secret of a record in use is known to the redactor', () => {
  const record = {
    access_token: 'access-token-of-test-13',
    refresh_token: 'refresh-token-of-test-13',
    client: { ...client, client_secret: 'client-secret-of-test-13' }
  }
  accessTokenOf(record, 'stored', 'https://mcp.example.com')
  const text = `${record.access_token} ${record.refresh_token} ${record.client.client_secret}`
  expect(secrets.redact(text)).toBe('[REDACTED:access_token] [REDACTED:refresh_token] [REDACTED:client_secret]')
})

test('T2: of the grant before, a new one keeps nothing but the count', () => {
  const before = {
    access_token: 'old',
    refresh_token: 'old-refresh',
    generation: 4,
    issuer: 'https://old.example',
    resource: 'https://old.example/r',
    scope: 'old',
    requested_scope: 'old',
    expires_at_unix: 1,
    lifetime: 1,
    seed: 'old',
    dpop_key: { old: true }
  }
  expect(
    grantedRecord(before, { access_token: 'at', token_type: 'bearer' }, { ...facts, resource: undefined, requestedScope: undefined }, nowMs)
  ).toStrictEqual({
    access_token: 'at',
    token_type: 'Bearer',
    last_refreshed: '2023-11-14T22:13:20Z',
    version: 1,
    generation: 5,
    issuer: 'https://as.example.com',
    token_endpoint: 'https://as.example.com/token',
    client
  })
})

test('the record of a first grant holds everything that its refresh will need', () => {
  const response = { access_token: 'at', refresh_token: 'rt', token_type: 'dpop', expires_in: 600 } as const
  expect(grantedRecord(undefined, response, { ...facts, dpopKey: { kty: 'EC' }, seed: 's' }, nowMs)).toStrictEqual({
    access_token: 'at',
    refresh_token: 'rt',
    token_type: 'DPoP',
    // RFC 6749 §5.1: granted as asked for, unless the answer says otherwise.
    scope: 'a b',
    requested_scope: 'a b',
    expires_at_unix: 1_700_000_600,
    lifetime: 600,
    last_refreshed: '2023-11-14T22:13:20Z',
    version: 1,
    generation: 1,
    issuer: 'https://as.example.com',
    token_endpoint: 'https://as.example.com/token',
    resource: 'https://r',
    client,
    dpop_key: { kty: 'EC' },
    seed: 's'
  })
  expect(grantedRecord(undefined, { ...response, scope: 'a' }, facts, nowMs)).toMatchObject({ scope: 'a', requested_scope: 'a b' })
})

test('N26, N37: what is issued as no access token never becomes one: an MCP server would see it', () => {
  const issued = { access_token: 'an assertion', token_type: 'n_a' } as const
  expect(() => grantedRecord(undefined, issued as never, facts, nowMs)).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_OAUTH_RESPONSE', status: 200 })
  )
})

test('N27: a refresh keeps what the answer leaves out, except for the end of the token before', () => {
  const before = {
    access_token: 'old',
    refresh_token: 'rt',
    token_type: 'DPoP',
    scope: 'a',
    requested_scope: 'a b',
    expires_at_unix: 1,
    lifetime: 1,
    generation: 4,
    issuer: 'https://as.example.com',
    client,
    unknown_field: true
  }
  const { access_token: _token, expires_at_unix: _end, lifetime: _lifetime, ...kept } = before
  expect(refreshedRecord(before, { access_token: 'at', token_type: 'bearer' }, nowMs)).toStrictEqual({
    ...kept,
    access_token: 'at',
    token_type: 'Bearer',
    last_refreshed: '2023-11-14T22:13:20Z',
    generation: 5
  })
  expect(
    refreshedRecord(
      { access_token: 'old' },
      { access_token: 'at', token_type: 'bearer', refresh_token: 'rt2', scope: 'b', expires_in: 0 },
      nowMs
    )
  ).toMatchObject({ refresh_token: 'rt2', scope: 'b', lifetime: 0, expires_at_unix: 1_700_000_000, generation: 1 })
})

import { secrets } from '@mcpauth/core'
import { expect, test } from 'vitest'
import { isObject, readTokenResponse } from '../src/token-response.ts'

const answer = (fields: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(typeof fields === 'string' ? fields : JSON.stringify(fields), { status, headers })

const tenYears = 10 * 365 * 24 * 3600

test('a token answer is taken as it is, and what servers get slightly wrong is put right', async () => {
  const full = {
    access_token: 'a',
    token_type: 'DPoP',
    refresh_token: 'r',
    scope: 'x y',
    expires_in: 60,
    id_token: 'i',
    issued_token_type: 't'
  }
  expect(await readTokenResponse(answer({ ...full, more: 1 }), 'x', 'https://mcp.example.com')).toEqual({ ...full, token_type: 'dpop' })
  expect(await readTokenResponse(answer({ access_token: 'a' }), 'x', 'https://mcp.example.com')).toEqual({
    access_token: 'a',
    token_type: 'bearer'
  })
})

test.each<[string, Record<string, unknown>, Record<string, unknown>]>([
  ['no token_type', { token_type: null }, { token_type: 'bearer' }],
  ['a refresh token of null', { refresh_token: null }, {}],
  ['an empty refresh token', { refresh_token: '' }, {}],
  ['a refresh token that is a number', { refresh_token: 5 }, {}],
  ['scopes as a list', { scope: ['a', 'b'] }, { scope: 'a b' }],
  ['scopes as a list that holds something else', { scope: ['a', 5] }, {}],
  ['a scope that is a number', { scope: 5 }, {}],
  ['an empty scope', { scope: '' }, { scope: '' }],
  ['expires_in as a string', { expires_in: '3600' }, { expires_in: 3600 }],
  ['expires_in as an empty string', { expires_in: ' ' }, {}],
  ['expires_in as words', { expires_in: 'an hour' }, {}],
  ['expires_in 0', { expires_in: 0 }, {}],
  ['a negative expires_in', { expires_in: -1 }, {}],
  ['expires_in of true', { expires_in: true }, {}],
  ['an endless expires_in', { expires_in: 'Infinity' }, { expires_in: tenYears }],
  ['a huge expires_in', { expires_in: 1e300 }, { expires_in: tenYears }],
  ['an ID token of null', { id_token: null }, {}],
  ['an empty ID token', { id_token: '' }, {}],
  ['an issued_token_type that is a number', { issued_token_type: 5 }, {}],
  ['an error that is no word', { error: null }, {}]
])('a token answer with %s', async (_name, fields, expected) => {
  expect(await readTokenResponse(answer({ access_token: 'a', ...fields }), 'x', 'https://mcp.example.com')).toStrictEqual({
    access_token: 'a',
    token_type: 'bearer',
    ...expected
  })
})

test('T13: every token of an answer is a secret from then on', async () => {
  await readTokenResponse(
    answer({ access_token: 'the-access-token-1', refresh_token: 'the-refresh-token-1', id_token: 'the.id.token-1' }),
    'x',
    'https://mcp.example.com'
  )
  expect(secrets.redact('the-access-token-1 the-refresh-token-1 the.id.token-1')).toBe(
    '[REDACTED:access_token] [REDACTED:refresh_token] [REDACTED:id_token]'
  )
})

test.each<[string, Response]>([
  ['no access token', answer({ token_type: 'Bearer' })],
  ['an empty access token', answer({ access_token: '' })],
  ['an access token that is a number', answer({ access_token: 5 })],
  ['a line break before its token', answer({ access_token: '\na' })],
  ['a line break after its token', answer({ access_token: 'a\n' })],
  ['a space in its token', answer({ access_token: 'a b' })],
  ['a letter beyond ASCII in its token', answer({ access_token: 'é' })],
  ['a DEL in its token', answer({ access_token: 'a\u007f' })],
  ['an error beside its token', answer({ access_token: 'a', error: 'invalid_grant' })],
  ['a list', answer([{ access_token: 'a' }])],
  ['null', answer('null')],
  ['HTML', answer('<!doctype html>')],
  ['status 400 and a token', answer({ access_token: 'a' }, 400)],
  ['nothing', answer('')]
])('T9: an answer with %s is an error', async (_name, response) => {
  await expect(readTokenResponse(response, 'the refresh', 'https://mcp.example.com')).rejects.toMatchObject({
    code: 'MCPAUTH_OAUTH_RESPONSE',
    status: response.status
  })
})

test('T9: the error says what the server said, and when to come back', async () => {
  const said = { error: 'temporarily_unavailable', error_description: 'too busy' }
  await expect(
    readTokenResponse(answer(said, 503, { 'retry-after': '30' }), 'the refresh', 'https://mcp.example.com')
  ).rejects.toMatchObject({
    status: 503,
    ...said,
    retryAfterMs: 30_000,
    message: expect.not.stringContaining('JSON')
  })
  await expect(readTokenResponse(answer('<html>', 502), 'the refresh', 'https://mcp.example.com')).rejects.toMatchObject({
    status: 502,
    error: undefined,
    message: expect.stringContaining('is not JSON')
  })
})

test('an object is neither null nor a list', () => {
  expect([{}, [], null, undefined, 'x', 5].map(isObject)).toEqual([true, false, false, false, false, false])
})

import { expect, test } from 'vitest'
import { type OAuthErrorDetails, OAuthResponseError } from '../src/oauth-response-error.ts'

test.each<[OAuthErrorDetails, string, object]>([
  [{ status: 502 }, 'the refresh: status 502', { error: undefined, error_description: undefined, retryAfterMs: undefined }],
  [
    { status: 400, error: 'invalid_grant', error_description: 'it has been used', retryAfterMs: 5_000 },
    'the refresh: status 400, invalid_grant, it has been used',
    { error: 'invalid_grant', error_description: 'it has been used', retryAfterMs: 5_000 }
  ],
  [{ status: 400, error_description: 'no' }, 'the refresh: status 400, no', { error: undefined, error_description: 'no' }],
  [{ status: 400, error: '', error_description: '' }, 'the refresh: status 400', { error: undefined, error_description: undefined }],
  [{ status: 400, error: 5, error_description: ['no'] }, 'the refresh: status 400', { error: undefined, error_description: undefined }]
])('what an authorization server said when it said no: %j', (details, message, fields) => {
  const error = new OAuthResponseError('the refresh', details)
  expect(error).toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE', message, status: details.status, ...fields })
})

test('T14: the words of an authorization server are one bounded line without escapes', () => {
  const { message, error, error_description } = new OAuthResponseError('the refresh', {
    status: 400,
    error: `\u001b[31m${'e'.repeat(100)}`,
    error_description: `\u202e${'d'.repeat(1_000)}\n`
  })
  expect(message).not.toMatch(/[\u0000-\u001f\u202e]/)
  expect([error?.length, error_description?.length]).toEqual([80, 300])
})

test('an error of an authorization server carries its hint and its cause', () => {
  const cause = new Error('x')
  expect(new OAuthResponseError('the refresh', { status: 400, hint: 'do this', cause })).toMatchObject({ hint: 'do this', cause })
})

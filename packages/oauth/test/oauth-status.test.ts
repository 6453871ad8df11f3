import type { TokenRecord } from '@mcpauth/core'
import { expect, test } from 'vitest'
import { deviceLogin, type Grant } from '../src/index.ts'
import { statusOf } from '../src/oauth-status.ts'

const server = new URL('https://mcp.example.com/mcp')
const key = { kind: 'server', url: server.href } as const
const grantThat = (properties: Partial<Grant>): Grant => Object.assign(async () => ({}) as never, { grantType: 'any', ...properties })

test('T13: a status has every field that says something about a login, and none that holds a secret', () => {
  const record: TokenRecord = {
    version: 1,
    generation: 7,
    access_token: 'a-secret',
    refresh_token: 'a-secret',
    token_type: 'Bearer',
    scope: 'a b',
    requested_scope: 'a b c',
    expires_at_unix: 1_700,
    issuer: 'https://as.example.com',
    client: { client_id: 'mine', client_secret: 'a-secret' },
    dpop_key: { d: 'a-secret' },
    seed: 'a-secret'
  }
  expect(statusOf({ server, key: { ...key, profile: 'work' } }, record)).toStrictEqual({
    server: server.href,
    profile: 'work',
    loggedIn: true,
    issuer: 'https://as.example.com',
    clientId: 'mine',
    scope: 'a b',
    expiresAt: new Date(1_700_000),
    canRefresh: true,
    generation: 7
  })
})

test.each<[string, TokenRecord | undefined, object]>([
  ['nothing', undefined, { loggedIn: false, canRefresh: false, generation: 0 }],
  ['what a logout leaves', { generation: 4 }, { loggedIn: false, canRefresh: false, generation: 4 }],
  ['an access token alone', { access_token: 'a' }, { loggedIn: true, canRefresh: false, generation: 0 }],
  ['a refresh token alone', { refresh_token: 'r' }, { loggedIn: true, canRefresh: true, generation: 0 }]
])('of %s a status says no more than is known', (_name, record, expected) => {
  expect(statusOf({ server, key }, record)).toStrictEqual({ server: server.href, ...expected })
})

test.each<[string, Grant, boolean]>([
  ['a grant without a person', grantThat({}), true],
  ['a grant that says so', grantThat({ interactive: false }), true],
  ['a grant with a person', grantThat({ interactive: true }), false],
  ['a login on a device', deviceLogin({ show: () => undefined }), false]
])('without a refresh token a new access token can be had by %s: %s', (_name, grant, expected) => {
  expect(statusOf({ server, key, grant }, undefined).canRefresh).toBe(expected)
})

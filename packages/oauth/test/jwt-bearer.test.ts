import { McpAuthError } from '@mcpauth/core'
import { describe, expect, test } from 'vitest'
import { clientCredentials, jwtBearer, refreshTokenOnly, workloadIdentity } from '../src/index.ts'
import { asking, good } from './paper-asking.ts'

const jwtBearerType = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const mcp = { resource: 'https://mcp.example.com/mcp', scope: 'read' }

test('N23: an assertion is read from where it is and sent with resource and scope', async () => {
  const { ask, sent } = asking({ ...mcp, env: { ASSERTION: 'an.assertion.jwt' } })
  const grant = jwtBearer({ assertion: { env: 'ASSERTION' } })
  expect({ ...grant }).toEqual({ grantType: jwtBearerType, bringsSecret: true })
  expect(await grant(ask)).toMatchObject({ access_token: good.access_token })
  expect(sent).toMatchObject([{ what: 'the JWT bearer grant' }])
  expect(sent[0]?.form).toEqual({ client_id: 'c', grant_type: jwtBearerType, assertion: 'an.assertion.jwt', ...mcp })
})

test('N36 N23: client credentials are asked for with resource and scope', async () => {
  const { ask, sent } = asking(mcp)
  expect({ ...clientCredentials() }).toEqual({ grantType: 'client_credentials' })
  await clientCredentials()(ask)
  expect(sent).toMatchObject([{ what: 'the client credentials grant' }])
  expect(sent[0]?.form).toEqual({ client_id: 'c', grant_type: 'client_credentials', ...mcp })
})

test.each<[string, (source: never) => unknown, string]>([
  ['assertion', (assertion) => jwtBearer({ assertion }), 'grant.assertion'],
  ['workload’s JWT', (token) => workloadIdentity({ token }), 'grant.token'],
  ['refresh token', (refreshToken) => refreshTokenOnly({ refreshToken }), 'grant.refreshToken']
])('a literal %s is refused at construction', (_name, make, option) => {
  expect(() => make('a literal' as never)).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining(`option ${option}:`) })
  )
})

test('what is not there is named as the option that it is, and nothing is sent', async () => {
  const { ask, sent } = asking({ env: {} })
  for (const [grant, option] of [
    [jwtBearer({ assertion: { env: 'NONE' } }), 'grant.assertion'],
    [workloadIdentity({ token: { env: 'NONE' } }), 'grant.token'],
    [refreshTokenOnly({ refreshToken: { env: 'NONE' } }), 'grant.refreshToken']
  ] as const)
    await expect(grant(ask)).rejects.toMatchObject({ code: 'MCPAUTH_CREDENTIAL_MISSING', message: expect.stringContaining(option) })
  await expect(refreshTokenOnly({ refreshToken: { env: 'NONE' } }).seed?.({})).rejects.toMatchObject({
    message: expect.stringContaining('grant.refreshToken')
  })
  expect(sent).toEqual([])
})

test('a durable refresh token is known by a name that does not give it away', async () => {
  const grant = refreshTokenOnly({ refreshToken: { env: 'CI' } })
  expect(grant.grantType).toBe('refresh_token')
  // SHA-256 of "the-durable-token" in base64url.
  expect(await grant.seed?.({ CI: 'the-durable-token' })).toBe('v73HnPgyaJqugK-utOYgvEr_JsigmuFzc7nH-2AhWMA')
})

describe('N39: a workload’s JWT', () => {
  test('needs no client of its own', () => {
    expect({ ...workloadIdentity({ token: () => 'x' }) }).toEqual({ grantType: jwtBearerType, clientOptional: true, bringsSecret: true })
  })

  test.each([400, 401, 403, 404, 428, 430, 499])('that was answered with %d is not sent again; another one is', async (status) => {
    const { ask, sent } = asking({}, Response.json({ error: 'no' }, { status }))
    let jwt = 'the.first.jwt'
    const grant = workloadIdentity({ token: () => jwt })
    const first = await grant(ask).catch((error: unknown) => error)
    await expect(grant(ask)).rejects.toBe(first)
    jwt = 'the.second.jwt'
    expect(await grant(ask)).toMatchObject({ access_token: good.access_token })
    expect(sent.map(({ form }) => form.assertion)).toEqual(['the.first.jwt', 'the.second.jwt'])
  })

  test.each<[string, () => Response | Error]>([
    ['429', () => Response.json({ error: 'later' }, { status: 429 })],
    ['500', () => Response.json({ error: 'no' }, { status: 500 })],
    ['a redirect', () => Response.json({ error: 'no' }, { status: 399 })],
    ['nothing', () => new McpAuthError('MCPAUTH_NETWORK', 'gone')]
  ])('that was answered with %s is sent again', async (_name, answer) => {
    const { ask, sent } = asking({}, answer())
    const grant = workloadIdentity({ token: () => 'the.jwt' })
    await expect(grant(ask)).rejects.toThrow()
    expect(await grant(ask)).toMatchObject({ access_token: good.access_token })
    expect(sent).toHaveLength(2)
  })
})

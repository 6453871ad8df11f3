import { McpAuthError, secrets } from '@mcpauth/core'
import { describe, expect, test } from 'vitest'
import type { GrantRequest } from '../src/grants/grant.ts'
import { type DevicePrompt, deviceLogin } from '../src/index.ts'
import { asking, good } from './paper-asking.ts'

const start = 1_700_000_000_000
const issuer = 'https://as.example.com'
const endpoints = { issuer, token_endpoint: `${issuer}/token`, device_authorization_endpoint: `${issuer}/device` }
const pending = (): Response => Response.json({ error: 'authorization_pending' }, { status: 400 })
const authorized = { device_code: 'the-device-code', user_code: 'WDJB', verification_uri: `${issuer}/activate`, expires_in: 900 }

/** A device login whose server gives these answers, the first of them to the device authorization; its clock goes on with its waits. */
function device(answers: Array<Response | Error>, more: Partial<GrantRequest> = {}) {
  const clock = { ms: start }
  const [waits, prompts]: [number[], DevicePrompt[]] = [[], []]
  const { ask, sent } = asking({ authorizationServer: endpoints, now: () => clock.ms, ...more }, ...answers)
  const wait = async (ms: number): Promise<void> => {
    waits.push(ms)
    clock.ms += ms
  }
  const grant = deviceLogin({ show: (prompt) => prompts.push(prompt), wait })
  return { grant, run: () => grant(ask), sent, waits, prompts, clock }
}

const unreachable = new McpAuthError('MCPAUTH_NETWORK', 'no', { cause: Object.assign(new Error(), { code: 'ECONNREFUSED' }) })
const refused = new McpAuthError('MCPAUTH_ADDRESS_REFUSED', 'no')
const failed = { code: 'MCPAUTH_LOGIN_FAILED' }

test('N40: a device login is a person’s, and says which grant it needs of a registration', () => {
  expect({ ...deviceLogin() }).toMatchObject({ interactive: true, grantType: 'urn:ietf:params:oauth:grant-type:device_code' })
  expect(() => deviceLogin({ show: 'yes' as never })).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining('option show:') })
  )
})

test('N40 N23: both requests name the resource, the first one the scope; a server that says nothing more is given half a minute', async () => {
  const { run, sent } = device([Response.json(authorized)], { resource: 'https://mcp.example.com/mcp', scope: 'read' })
  expect(await run()).toMatchObject({ access_token: good.access_token })
  expect(sent).toMatchObject([
    { url: `${issuer}/device`, what: 'the device authorization', method: 'POST', limits: { deadlineMs: 30_000 } },
    { url: `${issuer}/token`, what: 'the device login', method: 'POST' }
  ])
  expect(sent.map(({ form }) => form)).toEqual([
    { client_id: 'c', resource: 'https://mcp.example.com/mcp', scope: 'read' },
    {
      client_id: 'c',
      resource: 'https://mcp.example.com/mcp',
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      device_code: 'the-device-code'
    }
  ])
})

test('T13: a device code is a secret from then on', async () => {
  await device([Response.json({ ...authorized, device_code: 'a-device-code-to-hide' })]).run()
  expect(secrets.redact('a-device-code-to-hide')).toBe('[REDACTED:device_code]')
})

test('N40: where no resource is wanted, none is sent', async () => {
  const { run, sent } = device([Response.json(authorized)])
  await run()
  expect(sent.map(({ form }) => 'resource' in form)).toEqual([false, false])
})

test('N40: a refused device authorization says why, and when to come again', async () => {
  const answer = Response.json(
    { error: 'invalid_client', error_description: 'who?', ...authorized },
    { status: 401, headers: { 'retry-after': '7' } }
  )
  const { run, prompts } = device([answer])
  await expect(run()).rejects.toMatchObject({ status: 401, error: 'invalid_client', error_description: 'who?', retryAfterMs: 7_000 })
  expect(prompts).toEqual([])
})

test.each([[['https://as.example.com/activate']], ['xhttps://as.example.com/activate'], ['xhttp://as.example.com/activate']])(
  'N40 N35: nobody is sent to %j',
  async (address) => {
    const answer = (fields: object): Response => Response.json({ ...authorized, ...fields })
    await expect(device([answer({ verification_uri: address })]).run()).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE' })
    const { run, prompts } = device([answer({ verification_uri_complete: address })])
    await run()
    expect(prompts).toMatchObject([{ verificationUri: authorized.verification_uri, verificationUriComplete: undefined }])
  }
)

describe('N40: the code of a device login', () => {
  test('is good to its last moment', async () => {
    const { run, waits } = device([Response.json({ ...authorized, expires_in: 10 }), pending()])
    expect(await run()).toMatchObject({ access_token: good.access_token })
    expect(waits).toEqual([5_000, 5_000])
  })

  test('is not asked for after that, counted from before it was given', async () => {
    const { run, sent } = device([Response.json({ ...authorized, expires_in: 9.999 }), pending()])
    await expect(run()).rejects.toMatchObject({ ...failed, message: 'the code was not typed in time' })
    expect(sent).toHaveLength(2)
  })

  test.each([
    ['expired_token', 'the code was not typed in time'],
    ['access_denied', 'the login was refused on the other device']
  ])('ends with %s', async (error, message) => {
    const { run, sent } = device([Response.json(authorized), Response.json({ error }, { status: 400 })])
    await expect(run()).rejects.toMatchObject({ ...failed, message })
    expect(sent).toHaveLength(2)
  })

  test.each<[string, Response | Error, Record<string, unknown>]>([
    ['another refusal', Response.json({ error: 'invalid_grant' }, { status: 400 }), { error: 'invalid_grant' }],
    ['a refusal that is nearly a failure', Response.json({ error: 'strange' }, { status: 499 }), { error: 'strange' }],
    ['a connection that never was', unreachable, { code: 'MCPAUTH_NETWORK' }],
    ['a refused address', refused, { code: 'MCPAUTH_ADDRESS_REFUSED' }]
  ])('ends with %s, as it is', async (_name, answer, expected) => {
    const { run, sent } = device([Response.json(authorized), answer])
    await expect(run()).rejects.toMatchObject(expected)
    expect(sent).toHaveLength(2)
  })
})

const away = (status: number, retryAfter?: number): Response =>
  Response.json({}, { status, ...(retryAfter === undefined ? {} : { headers: { 'retry-after': `${retryAfter}` } }) })

test.each<[string, Response | Error, number]>([
  ['answers 500', away(500), 10_000],
  ['answers 429', away(429), 10_000],
  ['says when to come again', away(503, 30), 30_000],
  ['says to come again at once', away(503, 0), 10_000],
  ['says to come again in an hour', away(503, 3_600), 60_000],
  ['says nothing for too long', new McpAuthError('MCPAUTH_TIMEOUT', 'late'), 10_000],
  ['drops the connection', new McpAuthError('MCPAUTH_NETWORK', 'gone'), 10_000]
])('N40 T9: a server that %s is asked again later', async (_name, answer, everyMs) => {
  const { run, waits } = device([Response.json(authorized), answer])
  expect(await run()).toMatchObject({ access_token: good.access_token })
  expect(waits).toEqual([5_000, everyMs])
})

test('N40: whoever gives up while nothing is asked does not wait for the next question', async () => {
  const giving = new AbortController()
  const { ask, sent } = asking({ authorizationServer: endpoints, now: () => start, signal: giving.signal }, Response.json(authorized))
  await expect(deviceLogin({ show: () => giving.abort() })(ask)).rejects.toMatchObject({ name: 'AbortError' })
  expect(sent).toHaveLength(1)
})

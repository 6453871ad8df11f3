import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { authFetch, compose, fetchDispatcher, type Interceptor, McpAuthError } from '@mcpauth/core'
import { withHeaders } from '@mcpauth/header-injector'
import { AwsRefusedError, type SigV4Options, withSigV4 } from '@mcpauth/sigv4'
import { Agent as Agent8 } from 'undici'
import { Agent as Agent7 } from 'undici7'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { headersOf, readClaim } from '../../packages/sigv4/test/reference-signature.ts'
import { type AwsServer, awsServer } from './aws-server.ts'

const id = 'AKIDWIRETESTS'
const secretAccessKey = 'wire-test/secret+key-000001'
const keys = { accessKeyId: id, secretAccessKey }
const hour = 3_600_000

let server: AwsServer
let opened: AsyncDisposable[]

beforeEach(async () => {
  server = await awsServer([[id, secretAccessKey]])
  opened = [server]
})

afterEach(async () => {
  for (const resource of opened.toReversed()) await resource[Symbol.asyncDispose]()
})

function layer(options: Partial<SigV4Options> = {}): Interceptor {
  return withSigV4(`${server.origin}/mcp`, { credentials: () => keys, region: 'eu-central-1', service: 'execute-api', ...options })
}

function fetchWith(options: Partial<SigV4Options> = {}): ReturnType<typeof authFetch> {
  const fetch = authFetch(layer(options))
  opened.push(fetch)
  return fetch
}

function post(fetch: ReturnType<typeof authFetch>, body: NonNullable<RequestInit['body']> = '{"jsonrpc":"2.0"}'): Promise<Response> {
  return fetch(`${server.origin}/mcp?a=b c`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'mcp-session-id': 's 1' },
    body,
    ...({ duplex: 'half' } as object)
  })
}

/** Credentials whose sessions are named one after another. */
function sessions(): { provider: () => Promise<typeof keys & { sessionToken: string }>; count: () => number } {
  let count = 0
  return {
    provider: async () => {
      count += 1
      return { ...keys, sessionToken: `wire-test-session-token-${count}` }
    },
    count: () => count
  }
}

async function refused(sent: Promise<unknown>): Promise<AwsRefusedError> {
  const error = await sent.then(
    () => undefined,
    (reason: unknown) => reason
  )
  expect(error).toBeInstanceOf(AwsRefusedError)
  return error as AwsRefusedError
}

describe('a server behind IAM', () => {
  it('lets a signed POST, GET and DELETE through', async () => {
    const fetch = fetchWith()
    expect(await (await post(fetch)).text()).toBe('ok 17')
    expect((await fetch(`${server.origin}/mcp/x`)).status).toBe(200)
    expect((await fetch(`${server.origin}/mcp`, { method: 'DELETE' })).status).toBe(200)
  })

  it.each([
    ['undici 7', () => new Agent7()],
    ['undici 8', () => new Agent8()]
  ])("works in the compose of %s's own agent, query option and replay included", async (_, makeAgent) => {
    const session = sessions()
    server.expired.add('wire-test-session-token-1')
    const agent = makeAgent() as Agent8
    opened.push({ [Symbol.asyncDispose]: () => agent.close() })
    const signed = agent.compose(compose(layer({ credentials: session.provider })) as never)
    const { statusCode, body } = await signed.request({
      origin: server.origin,
      path: '/mcp',
      method: 'POST',
      query: { q: ['a b', "!'()*"], empty: '' },
      headers: ['X-A', '1', 'x-a', '2'],
      body: 'hello'
    } as never)
    expect([statusCode, await body.text()]).toEqual([200, 'ok 5'])
    expect(server.received.map(({ url }) => url)).toEqual(Array(2).fill("/mcp?q=a%20b&q=!'()*&empty="))
    expect(session.count()).toBe(2)
  })

  it('touches no other path, and nothing when redirected to another origin', async () => {
    await using other = await awsServer([])
    const fetch = fetchWith()
    server.behind = (_, response) => response.writeHead(307, { location: `${other.origin}/mcp` }).end()
    expect((await fetch(`${server.origin}/other`, { headers: { 'x-a': '1' } })).status).toBe(403)
    expect((await fetch(`${server.origin}/mcp`)).status).toBe(403)
    for (const request of [server.received[0], other.received[0]]) {
      const names = [...headersOf(request as never).keys()]
      expect(names.filter((name) => name === 'authorization' || name.startsWith('x-amz-'))).toEqual([])
    }
  })
})

describe('where keys and region come from', () => {
  it('a profile gives both; it is read once for the first requests, and again after a failure', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mcpauth-sigv4-'))
    opened.push({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) })
    const env = { AWS_SHARED_CREDENTIALS_FILE: join(folder, 'credentials'), AWS_CONFIG_FILE: join(folder, 'config') }
    const fetch = authFetch(withSigV4(`${server.origin}/mcp`, { credentials: { profile: 'prod' }, service: 'execute-api', env }))
    opened.push(fetch)
    await expect(post(fetch)).rejects.toMatchObject({ code: 'MCPAUTH_AWS_CREDENTIALS' })
    await writeFile(env.AWS_SHARED_CREDENTIALS_FILE, `[prod]\naws_access_key_id = ${id}\naws_secret_access_key = ${secretAccessKey}\n`)
    await expect(post(fetch)).rejects.toMatchObject({
      code: 'MCPAUTH_AWS_UNKNOWN_SCOPE',
      message: expect.stringContaining('the profile prod of')
    })
    await writeFile(env.AWS_CONFIG_FILE, '[profile prod]\nregion = eu-central-1\n')
    const answers = await Promise.all([post(fetch), post(fetch), post(fetch)])
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(server.received).toHaveLength(3)
  })

  it('the environment gives both', async () => {
    const env = { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_REGION: 'eu-central-1' }
    const fetch = authFetch(withSigV4(`${server.origin}/mcp`, { credentials: 'env', service: 'execute-api', env }))
    opened.push(fetch)
    expect((await post(fetch)).status).toBe(200)
  })
})

describe('together with other layers', () => {
  it('signs the headers that layers before it set, anew at a replay', async () => {
    const session = sessions()
    server.expired.add('wire-test-session-token-1')
    const tenant = withHeaders(`${server.origin}/mcp`, { 'x-tenant': () => 'one' })
    const fetch = authFetch([tenant, layer({ credentials: session.provider })])
    opened.push(fetch)
    expect((await post(fetch)).status).toBe(200)
    for (const request of server.received) expect(readClaim(request)?.signedHeaders).toContain('x-tenant')
  })
})

it('a request that leaves through the global fetch is signed right, too', async () => {
  const fetch = authFetch(layer(), { dispatcher: fetchDispatcher() })
  opened.push(fetch)
  expect(await (await post(fetch)).text()).toBe('ok 17')
})

describe('an expired session', () => {
  it('is renewed once for all requests, and each is sent again once', async () => {
    const session = sessions()
    const fetch = fetchWith({ credentials: session.provider })
    await post(fetch)
    server.expired.add('wire-test-session-token-1')
    const answers = await Promise.all(Array.from({ length: 20 }, async () => (await post(fetch)).text()))
    expect(answers).toEqual(Array(20).fill('ok 17'))
    expect(session.count()).toBe(2)
    expect(server.received.length).toBeLessThanOrEqual(41)
  })

  it('ends with an error that says so when the source has no newer one, without a second send', async () => {
    server.expired.add('wire-test-session-token-x')
    const error = await refused(post(fetchWith({ credentials: () => ({ ...keys, sessionToken: 'wire-test-session-token-x' }) })))
    expect(error).toMatchObject({ code: 'MCPAUTH_AWS_REFUSED', reason: 'expired-session', status: 403, errorType: 'ExpiredTokenException' })
    expect(server.received).toHaveLength(1)
  })

  it('ends after one renewal when the server refuses the newer one too', async () => {
    const session = sessions()
    for (let i = 1; i < 9; i++) server.expired.add(`wire-test-session-token-${i}`)
    expect(await refused(post(fetchWith({ credentials: session.provider })))).toMatchObject({ reason: 'expired-session' })
    expect([server.received.length, session.count()]).toEqual([2, 2])
  })

  it('is renewed for a body that had to be read first, too', async () => {
    const session = sessions()
    server.expired.add('wire-test-session-token-1')
    const stream = ReadableStream.from([Buffer.from('one '), Buffer.from('two')])
    expect(await (await post(fetchWith({ credentials: session.provider }), stream)).text()).toBe('ok 7')
    expect(server.received.map(({ body }) => String(body))).toEqual(['one two', 'one two'])
  })

  it('T21: a stream sent without its hash cannot be sent again, and the error says so', async () => {
    const session = sessions()
    server.expired.add('wire-test-session-token-1')
    const stream = ReadableStream.from([Buffer.from('one '), Buffer.from('two')])
    await expect(post(fetchWith({ credentials: session.provider, streams: 'unsigned' }), stream)).rejects.toMatchObject({
      code: 'MCPAUTH_BODY_NOT_REPLAYABLE'
    })
    expect(server.received).toHaveLength(1)
  })
})

describe('T17: a clock that is off', () => {
  it.each([
    ['an hour behind', hour],
    ['an hour ahead', -hour],
    ['a day behind', 24 * hour],
    ['a day ahead', -24 * hour]
  ])('%s is corrected by the Date header with one more send, once for good', async (_, aheadMs) => {
    server.aheadMs = aheadMs
    const fetch = fetchWith()
    expect((await post(fetch)).status).toBe(200)
    expect(server.received).toHaveLength(2)
    expect((await post(fetch)).status).toBe(200)
    expect(server.received).toHaveLength(3)
  })

  it('is corrected again when it is set right later', async () => {
    let off = -hour
    const fetch = fetchWith({ now: () => Date.now() + off })
    await post(fetch)
    off = 0
    expect((await post(fetch)).status).toBe(200)
    expect(server.received).toHaveLength(4)
  })

  it('ends with an error after one correction that did not help', async () => {
    server.aheadMs = hour
    server.behind = () => undefined
    const frozen = Date.now()
    // The service's clock runs away by an hour with each answer.
    const received = server.received
    const fetch = fetchWith({
      now: () => {
        server.aheadMs = hour * (1 + received.length * 2)
        return frozen
      }
    })
    expect(await refused(post(fetch))).toMatchObject({ reason: 'clock-skew', errorType: 'InvalidSignatureException' })
    expect(server.received).toHaveLength(2)
  })

  it('is not believed of an answer whose Date is the one under the signature', async () => {
    server.behind = (_, response) => {
      response.writeHead(403, { 'x-amzn-errortype': 'RequestTimeTooSkewed' }).end('{}')
    }
    expect(await refused(post(fetchWith()))).toMatchObject({ reason: 'clock-skew' })
    expect(server.received).toHaveLength(1)
  })

  it('and an expired session are mended in one request', async () => {
    const session = sessions()
    server.expired.add('wire-test-session-token-1')
    server.aheadMs = hour
    expect((await post(fetchWith({ credentials: session.provider }))).status).toBe(200)
    expect(server.received).toHaveLength(3)
  })
})

describe('a refusal that stays', () => {
  it.each([
    ['wrong-key', { credentials: () => ({ ...keys, accessKeyId: 'AKIDUNKNOWN' }) }],
    ['wrong-key', { credentials: () => ({ ...keys, secretAccessKey: 'another-secret-key-entirely' }) }],
    ['wrong-scope', { region: 'us-east-1' }],
    ['wrong-scope', { service: 'lambda' }]
  ] as const)('is told apart: %s', async (reason, options) => {
    expect(await refused(post(fetchWith(options)))).toMatchObject({ code: 'MCPAUTH_AWS_REFUSED', reason, status: 403 })
    expect(server.received).toHaveLength(1)
  })

  it('names the region, the service and where the region came from', async () => {
    const fetch = authFetch(
      withSigV4(`${server.origin}/mcp`, { credentials: () => keys, service: 'lambda', env: { AWS_REGION: 'us-west-2' } })
    )
    opened.push(fetch)
    expect((await refused(post(fetch))).message).toContain('signed for region us-west-2 (from AWS_REGION) and service lambda')
  })

  it.each([
    [403, 'AccessDeniedException', '{"Message":"User: arn:aws:iam::1:user/x is not authorized to perform: y"}', 'not-authorised'],
    [403, 'ForbiddenException', '{"message":"Forbidden"}', 'not-authorised'],
    [403, 'MissingAuthenticationTokenException', '{"message":"Missing Authentication Token"}', 'unknown-route'],
    [400, 'UnrecognizedClientException', '{"__type":"x#y"}', 'wrong-key'],
    [403, undefined, '<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>', 'wrong-key'],
    [403, undefined, '{"message":"The security token included in the request is invalid."}', 'wrong-key']
  ])('%s %s %s is %s', async (status, type, body, reason) => {
    server.behind = (_, response) => response.writeHead(status, type ? { 'x-amzn-errortype': type } : {}).end(body)
    expect(await refused(post(fetchWith()))).toMatchObject({ reason, status })
  })

  it.each([
    [403, {}, '{"error":"tool forbidden"}'],
    [403, {}, ''],
    [403, { 'content-type': 'text/plain' }, 'x'.repeat(5000)],
    [400, { 'x-amzn-errortype': 'ValidationException' }, '{"message":"bad argument"}'],
    [401, { 'www-authenticate': 'Bearer' }, 'no'],
    [404, { 'x-amzn-errortype': 'ResourceNotFoundException' }, '{}']
  ])('of the server behind it passes as it came: %s %j', async (status, headers, body) => {
    server.behind = (_, response) => response.writeHead(status, headers).end(body)
    const response = await post(fetchWith())
    expect([response.status, await response.text()]).toEqual([status, body])
    expect(server.received).toHaveLength(1)
  })

  it('is handed over on an event stream, since its reader would reconnect for ever', async () => {
    server.behind = (_, response) => response.writeHead(403, { 'x-amzn-errortype': 'AccessDeniedException' }).end('{}')
    const response = await fetchWith()(`${server.origin}/mcp`, { headers: { accept: 'text/event-stream' } })
    expect(response.status).toBe(403)
  })

  it('T13: tells no secret, though the answer quotes the session token and an API key', async () => {
    const sessionToken = 'wire-test-canary-session-token'
    const fetch = fetchWith({ credentials: () => ({ accessKeyId: id, secretAccessKey: 'wire-test-canary-secret-key', sessionToken }) })
    const sent = fetch(`${server.origin}/mcp`, { method: 'POST', headers: { 'x-api-key': 'wire-test-canary-api-key' }, body: 'x' })
    const error = await refused(sent)
    expect(error.message).toContain('does not match')
    const shown = inspect(error, { showHidden: true, depth: 9 }) + JSON.stringify(error) + error.stack
    expect(shown).not.toContain('canary')
  })

  it('T14: is safe to print', async () => {
    server.behind = (_, response) =>
      response.writeHead(403, { 'x-amzn-errortype': 'AccessDeniedException' }).end(JSON.stringify({ message: '\u001b]0;x\u0007 \u202eno' }))
    const { message } = await refused(post(fetchWith()))
    expect(message).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/)
  })
})

describe('bodies', () => {
  it.each<[string, () => unknown, string]>([
    ['a string', () => 'text \u00fc', 'text \u00fc'],
    ['bytes', () => Uint8Array.of(0x68, 0x69), 'hi'],
    ['a view into a larger buffer', () => new Uint8Array(Buffer.from('xhix')).subarray(1, 3), 'hi'],
    ['a Readable', () => Readable.from(['a', 'b']), 'ab'],
    ['a Blob', () => new Blob(['blob'], { type: 'text/x-blob' }), 'blob'],
    [
      'a generator',
      async function* () {
        yield Buffer.from('g')
      } as never,
      'g'
    ],
    ['none', () => null, '']
  ])('%s is hashed and sent whole', async (_, body, text) => {
    const agent = new Agent8()
    opened.push({ [Symbol.asyncDispose]: () => agent.close() })
    const answer = await agent
      .compose(layer() as never)
      .request({ origin: server.origin, path: '/mcp', method: 'POST', body: body() as never })
    await answer.body.dump()
    expect(answer.statusCode).toBe(200)
    expect(String(server.received[0]?.body)).toBe(text)
    expect(headersOf(server.received[0] as never).get('x-amz-content-sha256')?.[0]).toMatch(/^[0-9a-f]{64}$/)
    if (text === 'blob') expect(headersOf(server.received[0] as never).get('content-type')).toEqual(['text/x-blob'])
  })

  it('a stream longer than maxBodyBytes is refused before anything is sent', async () => {
    const stream = ReadableStream.from([Buffer.alloc(60), Buffer.alloc(60)])
    await expect(post(fetchWith({ maxBodyBytes: 100 }), stream)).rejects.toMatchObject({ code: 'MCPAUTH_BODY_TOO_LARGE' })
    expect(server.received).toHaveLength(0)
  })

  it("a stream goes as UNSIGNED-PAYLOAD with streams: 'unsigned'", async () => {
    const stream = ReadableStream.from([Buffer.from('one '), Buffer.from('two')])
    expect(await (await post(fetchWith({ streams: 'unsigned' }), stream)).text()).toBe('ok 7')
    expect(headersOf(server.received[0] as never).get('x-amz-content-sha256')).toEqual(['UNSIGNED-PAYLOAD'])
  })
})

describe('options', () => {
  it.each([
    ['credentials', undefined],
    ['credentials', {}],
    ['credentials', { credentials: 'profile' }],
    ['credentials', { credentials: { profile: '' } }],
    ['region', { credentials: 'env', region: 'eu west' }],
    ['service', { credentials: 'env', service: '' }],
    ['streams', { credentials: 'env', streams: 'never' }],
    ['maxBodyBytes', { credentials: 'env', maxBodyBytes: 0 }]
  ])('%s is refused at construction: %j', (name, options) => {
    expect(() => withSigV4('https://a.execute-api.eu-central-1.amazonaws.com', options as never)).toThrow(`option ${name}: `)
  })

  it('an unknown service or region is refused at construction where nothing must be read', () => {
    for (const options of [{ region: 'eu-central-1' }, { service: 'lambda' }]) {
      expect(() => withSigV4('https://mcp.example.com', { credentials: 'env', env: {}, ...options })).toThrow(
        expect.objectContaining({ code: 'MCPAUTH_AWS_UNKNOWN_SCOPE' }) as never
      )
    }
  })

  it('authFetch refuses it beside a layer that owns Authorization', () => {
    const bearer = layer()
    expect(() => authFetch([layer(), bearer])).toThrow(McpAuthError)
  })
})

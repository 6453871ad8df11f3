import { getEventListeners } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { type Dispatch, type DispatchHandler, McpAuthError, secrets } from '@mcpauth/core'
import { Agent } from 'undici'
import { expect, onTestFinished, test, vi } from 'vitest'
import { addressGuard } from '../src/address-guard.ts'
import { authorizationServerClient, mayHaveArrived, retryAfterMs } from '../src/authorization-server-client.ts'

async function clientFor(answer: RequestListener) {
  const server = createServer(answer)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/token`)
  const agent = new Agent()
  const dispatch: Dispatch = (options, handler) => agent.dispatch(options as never, handler as never)
  const client = authorizationServerClient(() => dispatch, addressGuard({ server: url }))
  let connections = 0
  server.on('connection', () => {
    connections += 1
  })
  return {
    client,
    url,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await agent.destroy()
    }
  }
}

const post = { method: 'POST' as const, headers: { 'content-type': 'text/plain' }, body: 'refresh_token=the-secret-in-the-body' }

test.each<[string, RequestListener]>([
  ['says nothing', () => undefined],
  ['stops after the head', (_request, response) => void response.writeHead(200).write('x')],
  [
    'sends one byte at a time, for ever',
    (_request, response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write(' '), 5)
      response.on('close', () => clearInterval(timer))
    }
  ]
])('T9: a server that %s ends with the total deadline, and the error holds nothing of the request', async (_name, answer) => {
  await using scene = await clientFor(answer)
  const error = await scene.client.send(scene.url, 'the refresh', post, { deadlineMs: 60 }).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'MCPAUTH_TIMEOUT' })
  expect(inspect(error, { showHidden: true, depth: 9 })).not.toContain('the-secret-in-the-body')
})

test('a caller that gives up ends the request', async () => {
  await using scene = await clientFor(() => undefined)
  const giving = new AbortController()
  const sent = scene.client.send(scene.url, 'the registration', post, { signal: giving.signal })
  giving.abort()
  await expect(sent).rejects.toMatchObject({ code: 'MCPAUTH_CLOSED' })
  await expect(scene.client.send(scene.url, 'the registration', post, { signal: giving.signal })).rejects.toMatchObject({
    code: 'MCPAUTH_CLOSED'
  })
})

test('T8: what is thrown the moment before a request is written ends it, and the server sees nothing of it', async () => {
  let requests = 0
  await using scene = await clientFor((_request, response) => {
    requests += 1
    response.end('{}')
  })
  const gone = new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', 'the lock is gone')
  const connections: number[] = []
  const beforeSend = (): void => {
    connections.push(scene.connections())
    throw gone
  }
  await expect(scene.client.send(scene.url, 'the refresh', post, { beforeSend })).rejects.toBe(gone)
  expect(connections).toHaveLength(1)
  // The server is there, and would have told.
  await scene.client.send(scene.url, 'the refresh', post, { beforeSend: () => undefined })
  expect(requests).toBe(1)
})

test('each request has a connection of its own: an idle one that died could not be told from one that was answered', async () => {
  await using scene = await clientFor((_request, response) => void response.end('{}'))
  for (let request = 0; request < 3; request += 1) await (await scene.client.send(scene.url, 'the refresh', post)).text()
  expect(scene.connections()).toBe(3)
})

test('rule 7: a dropped connection may have brought the request, a refused one has not', async () => {
  await using dropping = await clientFor((request) => void request.socket.destroy())
  const dropped = await dropping.client.send(dropping.url, 'the refresh', post).catch((reason: unknown) => reason)
  expect(dropped).toMatchObject({ code: 'MCPAUTH_NETWORK' })
  expect(mayHaveArrived(dropped)).toBe(true)
  const gone = await clientFor(() => undefined)
  await gone[Symbol.asyncDispose]()
  await using other = await clientFor(() => undefined)
  const refused = await other.client.send(gone.url, 'the refresh', post).catch((reason: unknown) => reason)
  expect(refused).toMatchObject({ code: 'MCPAUTH_NETWORK' })
  expect(mayHaveArrived(refused)).toBe(false)
})

test('T13: an error of the network keeps its code and nothing else', async () => {
  await using scene = await clientFor((request) => void request.socket.destroy())
  const error = await scene.client.send(scene.url, 'the refresh', post).catch((reason: unknown) => reason)
  expect(inspect(error, { showHidden: true, depth: 9 })).not.toContain('the-secret-in-the-body')
})

test('N34: nothing is sent to an address that the guard refuses', async () => {
  await using scene = await clientFor((_request, response) => void response.end('{}'))
  for (const url of ['http://as.example.com/token', 'file:///etc/passwd', 'https://user:pw@as.example.com/']) {
    await expect(scene.client.send(new URL(url), 'the refresh', post)).rejects.toMatchObject({ code: 'MCPAUTH_ADDRESS_REFUSED' })
  }
  expect(scene.connections()).toBe(0)
})

const anywhere = { checkUrl: () => undefined }
const as = new URL('https://as.example.com/.well-known/x')

/** A client over a network that does this with each request. */
function over(network: (handler: Required<DispatchHandler>, options: Record<string, unknown>) => unknown) {
  return authorizationServerClient(
    () => (options, handler) => {
      network(handler as Required<DispatchHandler>, options as never)
      return true
    },
    anywhere
  )
}

const controller = (abort: (reason: Error) => void = () => undefined) => ({ abort }) as never

test.each<[string, Record<string, string | number>, number[]]>([
  ['301 to 308 with a Location', { location: '/next' }, [300, 301, 302, 303, 307, 308, 399]],
  ['a relative one, resolved against the last', { location: '?q' }, [302]]
])('T5: metadata is followed on %s', async (_name, headers, statuses) => {
  for (const status of statuses) {
    const paths: unknown[] = []
    const client = over((handler, { path }) => {
      paths.push(path)
      handler.onResponseStart(controller(), paths.length === 1 ? status : 200, paths.length === 1 ? (headers as never) : {}, '')
      handler.onResponseData(controller(), Buffer.from('{"a":1}'))
      handler.onResponseEnd(controller(), {})
    })
    expect(await client.readMetadata(as, 'the metadata'), String(status)).toEqual({ a: 1 })
    expect(paths).toHaveLength(2)
  }
})

test.each<[string, number, Record<string, string>]>([
  ['a redirect without a Location', 302, {}],
  ['a redirect to nowhere', 302, { location: 'http://[' }],
  ['304', 304, { location: '/next' }],
  ['a Location with 201', 201, { location: '/next' }],
  ['a Location with 400', 400, { location: '/next' }],
  ['404', 404, {}],
  ['206', 206, {}]
])('T5: %s is no document, and nothing else is asked', async (_name, status, headers) => {
  let requests = 0
  const client = over((handler) => {
    requests += 1
    handler.onResponseStart(controller(), status, headers, '')
    if (status !== 304) handler.onResponseData(controller(), Buffer.from('{"a":1}'))
    handler.onResponseEnd(controller(), {})
  })
  expect(await client.readMetadata(as, 'the metadata')).toBeUndefined()
  expect(requests).toBe(1)
})

test.each(['http://as.example.com/', 'file:///etc/passwd', 'https://as.example.com/loop'])(
  'T5: metadata that redirects to another scheme, or for ever, is an error: %s',
  async (location) => {
    let requests = 0
    const client = over((handler) => {
      requests += 1
      handler.onResponseStart(controller(), 302, { location }, '')
      handler.onResponseEnd(controller(), {})
    })
    await expect(client.readMetadata(as, 'the metadata')).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE', status: 302 })
    expect(requests).toBe(location.endsWith('loop') ? 4 : 1)
  }
)

test('T9: metadata has ten seconds, and ends with its caller', async () => {
  const silent = over(() => undefined)
  await expect(silent.readMetadata(as, 'the metadata', AbortSignal.abort())).rejects.toMatchObject({ code: 'MCPAUTH_CLOSED' })
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  let ended: unknown
  const reading = silent.readMetadata(as, 'the metadata').catch((error: unknown) => {
    ended = error
  })
  await vi.advanceTimersByTimeAsync(9_999)
  expect(ended).toBeUndefined()
  await vi.advanceTimersByTimeAsync(1)
  await reading
  expect(ended).toMatchObject({ code: 'MCPAUTH_TIMEOUT' })
})

test('N34: where metadata redirects to is checked like the first URL', async () => {
  const checked: string[] = []
  const guard = {
    checkUrl: ({ href }: URL, what: string) => {
      checked.push(`${what} ${href}`)
      if (href.includes('10.0.0.1')) throw new McpAuthError('MCPAUTH_ADDRESS_REFUSED', 'refused')
    }
  }
  const client = authorizationServerClient(
    () => (_options, handler) => {
      handler.onResponseStart?.(controller(), 302, { location: 'https://10.0.0.1/x' }, '')
      handler.onResponseEnd?.(controller(), {})
      return true
    },
    guard
  )
  await expect(client.readMetadata(as, 'the metadata')).rejects.toMatchObject({ code: 'MCPAUTH_ADDRESS_REFUSED' })
  expect(checked).toEqual([`the metadata ${as.href}`, 'the metadata https://10.0.0.1/x'])
})

test.each([
  [500, '3', 3_000],
  [503, undefined, undefined],
  [599, undefined, undefined],
  [429, '7', 7_000]
])('T9: metadata that answers %d with Retry-After %s is an error, not an absence', async (status, retryAfter, retryAfterMs) => {
  const client = over((handler) => {
    handler.onResponseStart(controller(), status, retryAfter === undefined ? {} : { 'retry-after': retryAfter }, '')
    handler.onResponseEnd(controller(), {})
  })
  await expect(client.readMetadata(as, 'the metadata')).rejects.toMatchObject({
    code: 'MCPAUTH_OAUTH_RESPONSE',
    message: `the metadata of ${as.host} cannot be read: status ${status}`,
    status,
    retryAfterMs
  })
})

test('N1: metadata is asked for with GET, as JSON, with the revision of the protocol, and on a connection that is not kept', async () => {
  let asked: Record<string, unknown> = {}
  const client = over((handler, options) => {
    asked = options
    handler.onResponseStart(controller(), 200, {}, '')
    handler.onResponseData(controller(), Buffer.from('<!doctype html>'))
    handler.onResponseEnd(controller(), {})
  })
  expect(await client.readMetadata(new URL('https://as.example.com:8443/a?b=c'), 'the metadata')).toBeUndefined()
  expect(asked).toEqual({
    origin: 'https://as.example.com:8443',
    path: '/a?b=c',
    method: 'GET',
    headers: { accept: 'application/json', 'mcp-protocol-version': '2025-11-25' },
    body: null,
    reset: true
  })
})

test.each([
  ['0', 0],
  ['120', 120_000],
  [' 5 ', 5_000],
  ['Thu, 01 Jan 1970 00:01:40 GMT', 90_000],
  ['Thu, 01 Jan 1970 00:00:10 GMT', 0],
  ['Thu, 01 Jan 1970 00:00:09 GMT', undefined],
  ['x5', undefined],
  ['1970-01-02', 86_390_000],
  ['soon', undefined],
  ['9'.repeat(400), undefined]
])('T9: Retry-After %j means %s ms', (value, ms) => {
  expect(retryAfterMs(new Response(null, { headers: { 'retry-after': value } }), 10_000)).toBe(ms)
  expect(retryAfterMs(new Response(null))).toBeUndefined()
})

test('T9: an answer of 1 MiB is read, and one byte more ends the connection', async () => {
  const aborted: Error[] = []
  const answering = (bytes: number) =>
    over((handler) => {
      handler.onRequestStart(
        controller((reason) => aborted.push(reason)),
        {}
      )
      handler.onResponseStart(controller(), 200, {}, '')
      for (let sent = 0; sent < bytes; sent += 512) handler.onResponseData(controller(), Buffer.alloc(Math.min(512, bytes - sent)))
      handler.onResponseEnd(controller(), {})
    })
  const whole = await answering(1024 * 1024).send(as, 'x', post)
  expect((await whole.arrayBuffer()).byteLength).toBe(1024 * 1024)
  expect(aborted).toEqual([])
  await expect(answering(1024 * 1024 + 1).send(as, 'x', post)).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE', status: 200 })
  expect(aborted).toHaveLength(1)
  await expect(answering(1024 * 1024 + 1024).send(as, 'x', post)).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE' })
  expect(aborted).toHaveLength(2)
})

test('the bytes of an answer are kept as they came, also where the network uses its memory again', async () => {
  const chunk = Buffer.alloc(3)
  const client = over((handler) => {
    handler.onResponseStart(controller(), 100, {}, '')
    handler.onResponseStart(controller(), 200, { 'set-cookie': ['a', 'b'], 'x-one': '1', 'x-none': undefined as never }, '')
    for (const text of ['one', 'two']) {
      chunk.write(text)
      handler.onResponseData(controller(), chunk)
    }
    handler.onResponseEnd(controller(), {})
  })
  const response = await client.send(as, 'x', post)
  expect(response.status).toBe(200)
  expect(await response.text()).toBe('onetwo')
  expect([...response.headers]).toEqual([
    ['set-cookie', 'a'],
    ['set-cookie', 'b'],
    ['x-one', '1']
  ])
})

test.each([204, 205, 304])('an answer of status %d has no body', async (status) => {
  const client = over((handler) => {
    handler.onResponseStart(controller(), status, {}, '')
    handler.onResponseEnd(controller(), {})
  })
  const response = await client.send(as, 'x', post)
  expect([response.status, response.body]).toEqual([status, null])
})

test('T9: a request that is over leaves neither a timer nor a listener, however it ended', async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  const giving = new AbortController()
  const answered = over((handler) => {
    handler.onResponseStart(controller(), 200, {}, '')
    handler.onResponseEnd(controller(), {})
  })
  const failing = over((handler) => handler.onResponseError(controller(), new Error('x')))
  await answered.send(as, 'x', post, { signal: giving.signal })
  await failing.send(as, 'x', post, { signal: giving.signal }).catch(() => undefined)
  expect(timers()).toBe(before)
  expect(getEventListeners(giving.signal, 'abort')).toHaveLength(0)
})

test('a request whose connection comes after its end is aborted then, and asked for no more', async () => {
  let handler: Required<DispatchHandler> | undefined
  let requests = 0
  const client = over((given) => {
    requests += 1
    handler = given
  })
  const giving = new AbortController()
  const sent = client.send(as, 'x', post, { signal: giving.signal })
  giving.abort()
  await expect(sent).rejects.toMatchObject({ code: 'MCPAUTH_CLOSED' })
  const aborted: Error[] = []
  handler?.onRequestStart(
    controller((reason) => aborted.push(reason)),
    {}
  )
  expect(aborted).toMatchObject([{ code: 'MCPAUTH_CLOSED' }])
  handler?.onResponseEnd(controller(), {})
  await expect(client.send(as, 'x', post, { signal: giving.signal })).rejects.toMatchObject({ code: 'MCPAUTH_CLOSED' })
  expect(requests).toBe(1)
})

test('T9: at the deadline the connection is closed', async () => {
  await using scene = await clientFor((request) => void request.socket.once('close', () => closed()))
  let closed: () => void = () => undefined
  const gone = new Promise<void>((settle) => {
    closed = settle
  })
  await expect(scene.client.send(scene.url, 'the refresh', post, { deadlineMs: 200 })).rejects.toMatchObject({ code: 'MCPAUTH_TIMEOUT' })
  await gone
})

test.each<[string, unknown, string]>([
  ['a deadline', new DOMException('late', 'TimeoutError'), 'MCPAUTH_TIMEOUT'],
  ['an error of ours', new McpAuthError('MCPAUTH_LOGIN_FAILED', 'x'), 'MCPAUTH_LOGIN_FAILED'],
  ['anything else', new Error('x'), 'MCPAUTH_CLOSED'],
  ['nothing at all', null, 'MCPAUTH_CLOSED']
])('a caller that gives up because of %s gets the error that says so', async (_name, reason, code) => {
  const signal = AbortSignal.abort(reason)
  await expect(over(() => undefined).send(as, 'x', post, { signal })).rejects.toMatchObject({ code })
})

test.each<[string, Error, string]>([
  ['an error of ours', new McpAuthError('MCPAUTH_ADDRESS_REFUSED', 'x'), 'MCPAUTH_ADDRESS_REFUSED'],
  ['one whose cause is ours', new Error('y', { cause: new McpAuthError('MCPAUTH_CLOSED', 'x') }), 'MCPAUTH_CLOSED'],
  ['any other', Object.assign(new Error('y'), { code: 'ECONNRESET' }), 'MCPAUTH_NETWORK']
])('T13: what a network throws or reports is %s and holds no more than its code', async (_name, error, code) => {
  const reporting = over((handler) => handler.onResponseError(controller(), error))
  const throwing = over(() => {
    throw error
  })
  for (const client of [reporting, throwing]) {
    const caught = await client.send(as, 'x', post).catch((reason: unknown) => reason)
    expect(caught).toMatchObject({ code })
    if (code === 'MCPAUTH_NETWORK') expect((caught as Error).cause).toMatchObject({ message: 'ECONNRESET', code: 'ECONNRESET' })
  }
})

test.each([
  ['SELF_SIGNED_CERT_IN_CHAIN', /NODE_EXTRA_CA_CERTS/],
  ['ECONNREFUSED', /^check the network/]
])('after %s the hint is %s', async (code, hint) => {
  const client = over((handler) => handler.onResponseError(controller(), Object.assign(new Error('y'), { code })))
  await expect(client.send(as, 'x', post)).rejects.toMatchObject({ code: 'MCPAUTH_NETWORK', hint: expect.stringMatching(hint) })
})

test('rule 7: only an error of the network may have arrived, unless its code says that no connection was made', () => {
  const network = (code?: string) => new McpAuthError('MCPAUTH_NETWORK', 'x', code === undefined ? {} : { cause: { code } })
  const unreachable = 'ECONNREFUSED ENOTFOUND EAI_AGAIN EHOSTUNREACH ENETUNREACH EADDRNOTAVAIL UND_ERR_CONNECT_TIMEOUT'
  const untrusted =
    'ERR_TLS_CERT_ALTNAME_INVALID CERT_HAS_EXPIRED DEPTH_ZERO_SELF_SIGNED_CERT SELF_SIGNED_CERT_IN_CHAIN UNABLE_TO_VERIFY_LEAF_SIGNATURE'
  for (const code of [...unreachable.split(' '), ...untrusted.split(' '), 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'])
    expect(mayHaveArrived(network(code)), code).toBe(false)
  for (const code of ['ECONNRESET', 'UND_ERR_SOCKET', 'EPIPE', undefined]) expect(mayHaveArrived(network(code)), code).toBe(true)
  for (const other of [new McpAuthError('MCPAUTH_TIMEOUT', 'x'), new Error('x'), { code: 'MCPAUTH_NETWORK' }, undefined])
    expect(mayHaveArrived(other)).toBe(false)
})

test.each<[string, Dispatch, object]>([
  [
    'cannot be reached',
    () => {
      throw Object.assign(new Error('no such host'), { code: 'ENOTFOUND' })
    },
    { code: 'MCPAUTH_NETWORK' }
  ],
  ['never answers', () => true, { code: 'MCPAUTH_TIMEOUT' }]
])('T13: a host that a server has made of a secret, and that %s, is not in the error', async (_name, dispatch, expected) => {
  secrets.add('the-secret-as-an-unknown-host', 'refresh_token')
  const client = authorizationServerClient(() => dispatch, { checkUrl: () => undefined })
  const error = await client
    .send(new URL('https://the-secret-as-an-unknown-host.example'), 'the refresh', post, { deadlineMs: 1 })
    .catch((reason: unknown) => reason)
  expect(error).toMatchObject(expected)
  expect(inspect(error, { showHidden: true, depth: 9 })).toContain('[REDACTED:refresh_token].example')
  expect(inspect(error, { showHidden: true, depth: 9 })).not.toContain('the-secret-as-an-unknown-host')
})

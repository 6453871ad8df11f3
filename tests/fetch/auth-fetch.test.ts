import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { type AccessToken, authFetch, fetchDispatcher, type TokenSource } from '@mcpauth/core'
import { withRefreshOn401 } from '@mcpauth/refresh-on-401'
import { Agent } from 'undici'
import { afterEach, expect, test, vi } from 'vitest'
import { httpServer } from '../interfaces/http-server.ts'

/** A source that counts: each renewal gives the next generation. */
function counting(): TokenSource & { renewals: number } {
  let token: AccessToken = { value: 'token-1', scheme: 'Bearer', generation: 1, origin: 'stored' }
  const source = {
    renewals: 0,
    current: () => token,
    async renew() {
      source.renewals += 1
      const generation = token.generation + 1
      token = { value: `token-${generation}`, scheme: 'Bearer', generation, origin: 'refreshed' }
      return token
    }
  }
  return source
}

afterEach(() => vi.unstubAllEnvs())

test('answers with a global Response that knows its url; 204 has no body', async () => {
  await using server = await httpServer((request, response) => {
    if (request.url === '/redirect') response.writeHead(302, { location: '/target' }).end()
    else response.writeHead(request.url === '/empty' ? 204 : 200, { 'set-cookie': ['a=1', 'b=2'] }).end()
  })
  await using fetch = authFetch([])
  const response = await fetch(new URL('/redirect', server.url))
  expect(response).toBeInstanceOf(Response)
  expect([response.url, response.redirected, response.headers.getSetCookie()]).toEqual([
    new URL('/target', server.url).href,
    true,
    ['a=1', 'b=2']
  ])
  const empty = await fetch(new URL('/empty', server.url))
  expect([empty.status, empty.body]).toEqual([204, null])
})

test('a body goes again with a 307 and is dropped at a 303', async () => {
  await using server = await httpServer((request, response) => {
    const [, status] = /^\/(30\d)$/.exec(request.url ?? '') ?? []
    if (status) response.writeHead(Number(status), { location: '/target' })
    response.end()
  })
  await using fetch = authFetch(withRefreshOn401(server.url, counting()))
  for (const path of ['/307', '/303']) await fetch(new URL(path, server.url), { method: 'POST', body: new URLSearchParams({ a: 'b c' }) })
  expect(server.requests.map(({ method, path, body }) => [method, path, body])).toEqual([
    ['POST', '/307', 'a=b+c'],
    ['POST', '/target', 'a=b+c'],
    ['POST', '/303', 'a=b+c'],
    ['GET', '/target', '']
  ])
  expect(server.requests[0]?.headers['content-type']).toMatch(/^application\/x-www-form-urlencoded/)
})

test.each([
  ['a string', 'päyload'],
  ['bytes', new TextEncoder().encode('päyload')],
  ['an ArrayBuffer', new TextEncoder().encode('päyload').buffer],
  ['a Blob', new Blob(['päyload'])]
])('T7 a refused request is sent again with its whole body, given as %s', async (_name, body) => {
  await using server = await httpServer((request, response) =>
    response.writeHead(request.headers.authorization === 'Bearer token-2' ? 200 : 401).end()
  )
  await using fetch = authFetch(withRefreshOn401(server.url, counting()))
  expect((await fetch(server.url, { method: 'POST', body })).status).toBe(200)
  expect(server.requests.map((request) => request.body)).toEqual(['päyload', 'päyload'])
})

test('T21 a stream is sent once; a 401 becomes a typed error, and the credential is renewed for the next request', async () => {
  await using server = await httpServer((request, response) =>
    response.writeHead(request.headers.authorization === 'Bearer token-2' ? 200 : 401).end()
  )
  const source = counting()
  await using fetch = authFetch(withRefreshOn401(server.url, source))
  const stream = (): ReadableStream => new Blob(['one', 'two']).stream()
  const send = (): Promise<Response> => fetch(server.url, { method: 'POST', body: stream(), duplex: 'half' } as RequestInit)
  await expect(send()).rejects.toMatchObject({
    code: 'MCPAUTH_BODY_NOT_REPLAYABLE',
    hint: expect.stringContaining('send the request again')
  })
  expect((await send()).status).toBe(200)
  expect(server.requests).toHaveLength(2)
  expect(source.renewals).toBe(1)
})

test('the body of a refused answer is read before the credential is renewed, so that a pool of one connection does not deadlock', async () => {
  await using server = await httpServer((request, response) => {
    if (request.url === '/renew') response.end('renewed')
    else response.writeHead(request.headers.authorization === 'Bearer token-2' ? 200 : 401).end('x'.repeat(60_000))
  })
  const source = counting()
  const agent = new Agent({ connections: 1, pipelining: 1 })
  const renew = source.renew
  await using plain = authFetch([], { dispatcher: agent })
  source.renew = async (refusal) => {
    await (await plain(new URL('/renew', server.url))).text()
    return renew(refusal)
  }
  await using fetch = authFetch(withRefreshOn401(new URL('/mcp', server.url), source), { dispatcher: agent })
  expect((await fetch(new URL('/mcp', server.url), { method: 'POST', body: 'x' })).status).toBe(200)
  await agent.close()
})

test('T9 a refused answer without an end is cut off, and the request is mended all the same', async () => {
  await using server = await httpServer((request, response) => {
    if (request.headers.authorization === 'Bearer token-2') response.end('fine')
    else {
      response.writeHead(401)
      // Node 26 says that the connection is gone before the response counts as destroyed: who goes on writing lets nothing else run.
      const endless = (error?: Error | null): void => {
        if (!error && !response.destroyed) response.write('x'.repeat(16 * 1024), endless)
      }
      endless()
    }
  })
  await using fetch = authFetch(withRefreshOn401(server.url, counting()))
  expect(await (await fetch(server.url, { method: 'POST', body: 'x' })).text()).toBe('fine')
})

test('T19 a server that refuses every token gets five sends of one request at the most, then the caller gets a typed error with its reason made safe', async () => {
  await using server = await httpServer((_request, response) => {
    response.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token", error_description="no \u009b2J good"' }).end()
  })
  await using fetch = authFetch(withRefreshOn401(server.url, counting()))
  const error = await fetch(server.url, { method: 'POST' }).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'MCPAUTH_TOKEN_REFUSED', message: expect.stringContaining('no') })
  expect((error as Error).message).not.toContain('\u009b')
  expect(server.requests).toHaveLength(5)
})

test('requests that are first at the same time share one road', async () => {
  await using server = await httpServer((_request, response) => response.end())
  let laid = 0
  await using fetch = authFetch([
    (dispatch) => {
      laid += 1
      return (options, handler) => dispatch(options, handler)
    }
  ])
  await Promise.all(Array.from({ length: 5 }, () => fetch(server.url)))
  expect(laid).toBe(1)
})

test('a request that is aborted while its token is awaited fails at once with the reason, and is never sent', async () => {
  await using server = await httpServer((_request, response) => response.end())
  const never = new Promise<AccessToken>(() => undefined)
  await using fetch = authFetch(withRefreshOn401(server.url, { current: () => never, renew: () => never }))
  const caller = new AbortController()
  const pending = fetch(server.url, { signal: caller.signal })
  const reason = new Error('gone')
  setImmediate(() => caller.abort(reason))
  await expect(pending).rejects.toBe(reason)
  expect(server.requests).toHaveLength(0)
})

test('an event stream arrives piece by piece, and ends its connection when its reader goes', async () => {
  let closed: Promise<unknown> | undefined
  let proceed: (() => void) | undefined
  await using server = await httpServer((_request, response) => {
    closed = new Promise((resolve) => response.once('close', resolve))
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
    proceed = () => response.write('data: 2\n\n')
  })
  await using fetch = authFetch(withRefreshOn401(server.url, counting()))
  const response = await fetch(server.url, { headers: { accept: 'text/event-stream' } })
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  const next = async (): Promise<string> => Buffer.from((await reader.read()).value as Uint8Array).toString()
  expect(await next()).toBe('data: 1\n\n')
  proceed?.()
  expect(await next()).toBe('data: 2\n\n')
  await reader.cancel()
  await closed
})

test('a closed fetch refuses, and lets what waits for a token go', async () => {
  await using server = await httpServer((_request, response) => response.writeHead(401).end())
  const started = Promise.withResolvers<void>()
  const waiting: TokenSource = {
    current: () => undefined,
    renew: (_refusal, waiter) =>
      new Promise((_resolve, reject) => {
        waiter?.addEventListener('abort', () => reject(waiter.reason))
        started.resolve()
      })
  }
  const fetch = authFetch(withRefreshOn401(server.url, waiting))
  const pending = fetch(server.url, { method: 'POST' })
  await started.promise
  await Promise.all([expect(pending).rejects.toMatchObject({ code: 'MCPAUTH_CLOSED' }), fetch[Symbol.asyncDispose]()])
  await expect(fetch(server.url)).rejects.toMatchObject({ code: 'MCPAUTH_CLOSED' })
})

test.each(['not a URL', 'https://user:the-secret-password@mcp.example.com/'])(
  'T13 a bad URL is refused without being quoted: %s',
  async (url) => {
    const error = await authFetch([])(url).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'MCPAUTH_INVALID_OPTION' })
    expect(String(error)).not.toContain('the-secret-password')
  }
)

test.each<[string, Record<string, string>]>([
  ['name', { 'the secret\nin-a-name': 'x' }],
  ['value', { 'x-key': 'the secret\nin-a-value' }]
])('T13 a header that cannot be sent is refused without quoting its %s', async (_what, headers) => {
  await using server = await httpServer((_request, response) => response.end())
  await using fetch = authFetch([])
  const error = await fetch(server.url, { headers }).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'MCPAUTH_INVALID_OPTION' })
  expect(inspect(error, { showHidden: true, depth: null })).not.toContain('the secret')
})

test.each([
  ['dispatcher', { dispatcher: {} }],
  ['authorizationServerDispatcher', { authorizationServerDispatcher: 1 }],
  ['headersTimeoutMs', { headersTimeoutMs: -1 }],
  ['headersTimeoutMs', { headersTimeoutMs: Number.NaN }]
])('a bad %s is refused at construction, by name', (name, options) => {
  expect(() => authFetch([], options as never)).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining(name) })
  )
})

test('the default dispatcher honours HTTP_PROXY, and asks it for nothing on this machine', async () => {
  const proxied: string[] = []
  const proxy = createServer().on('connect', (request, socket) => {
    proxied.push(String(request.url))
    socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
  })
  proxy.on('request', (request, response) => {
    proxied.push(String(request.url))
    response.end('from the proxy')
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  await using server = await httpServer((_request, response) => response.end('direct'))
  vi.stubEnv('HTTP_PROXY', `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`)
  vi.stubEnv('http_proxy', `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`)
  await using through = authFetch([])
  await through('http://mcp.example.invalid').catch(() => undefined)
  expect(proxied).toHaveLength(1)
  expect(await (await through(server.url)).text()).toBe('direct')
  expect(proxied).toHaveLength(1)
  proxy.close()
})

test("fetchDispatcher sends through a fetch: Node's global one, with replay, headers and cookies", async () => {
  await using server = await httpServer((request, response) => {
    if (request.headers.authorization !== 'Bearer token-2') response.writeHead(401).end('refused')
    else response.writeHead(200, { 'set-cookie': ['a=1', 'b=2'] }).end('answer')
  })
  await using fetch = authFetch(withRefreshOn401(server.url, counting()), { dispatcher: fetchDispatcher() })
  const response = await fetch(server.url, { method: 'POST', body: 'payload' })
  expect([response.status, await response.text(), response.headers.getSetCookie()]).toEqual([200, 'answer', ['a=1', 'b=2']])
  expect(server.requests.map(({ body }) => body)).toEqual(['payload', 'payload'])
  const caller = new AbortController()
  const aborted = fetch(server.url, { signal: caller.signal })
  caller.abort(new Error('gone'))
  await expect(aborted).rejects.toThrow('gone')
})

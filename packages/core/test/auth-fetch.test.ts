import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Agent } from 'undici'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  type AuthFetchOptions,
  authFetch,
  authMiddleware,
  type DispatchOptions,
  describeLayer,
  type Interceptor,
  McpAuthError,
  type Road
} from '../src/index.ts'

/** A server on loopback; gives its URL. */
async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<URL> {
  const server = createServer((request, response) => void request.resume().on('end', () => answer(request, response)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close().closeAllConnections())
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`)
}

/** A layer that writes down the requests it sees and the road it stands on. */
function watching(): { layer: Interceptor; requests: DispatchOptions[]; roads: Array<Road | undefined> } {
  const requests: DispatchOptions[] = []
  const roads: Array<Road | undefined> = []
  const layer: Interceptor = (dispatch, road) => {
    roads.push(road)
    return (options, handler) => {
      requests.push(options)
      return dispatch(options, handler)
    }
  }
  return { layer, requests, roads }
}

const failing =
  (error: Error): Interceptor =>
  () =>
  (_options, handler) => {
    handler.onResponseError?.({ aborted: false, reason: null, paused: false } as never, error)
    return true
  }

afterEach(() => vi.unstubAllEnvs())

describe('a request', () => {
  test('passes its layers with the bytes of its body, so that they can be signed and sent again; a stream as it is', async () => {
    const url = await serve((_request, response) => response.end())
    const { layer, requests } = watching()
    await using fetch = authFetch(layer)
    const bodies: unknown[] = ['text', new TextEncoder().encode('text'), new URLSearchParams({ te: 'xt' }), '', null, undefined]
    for (const body of bodies) await fetch(url, { method: 'POST', body } as RequestInit)
    const bytesOf = (body: unknown): unknown => (body instanceof Uint8Array ? Buffer.from(body).toString() : body)
    expect(requests.map(({ body }) => bytesOf(body))).toEqual(['text', 'text', 'te=xt', '', null, null])
    await fetch(url, { method: 'POST', body: new Blob(['text']).stream(), duplex: 'half' } as RequestInit)
    expect(typeof requests.at(-1)?.body.next).toBe('function')
  })

  test('whose body a redirect drops goes on without one', async () => {
    const url = await serve((request, response) =>
      request.url === '/mcp' ? response.writeHead(303, { location: '/other' }).end() : response.end()
    )
    const { layer, requests } = watching()
    await using fetch = authFetch(layer)
    await fetch(url, { method: 'POST', body: 'text' })
    expect(requests.map(({ method, path, body }) => [method, path, body && 'a body'])).toEqual([
      ['POST', '/mcp', 'a body'],
      ['GET', '/other', null]
    ])
  })

  test('waits for headers as long as it is told, and as long as undici does when it is not', async () => {
    const url = await serve((_request, response) => response.end())
    const waits: unknown[] = []
    for (const options of [{}, { headersTimeoutMs: 0 }, { headersTimeoutMs: 1234 }]) {
      const agent = new Agent()
      const dispatcher = {
        dispatch: (sent: DispatchOptions, handler: object) => {
          waits.push(sent.headersTimeout)
          return agent.dispatch(sent as never, handler as never)
        }
      }
      await using fetch = authFetch([], { ...options, dispatcher })
      await fetch(url)
      await agent.close()
    }
    expect(waits).toEqual([undefined, 0, 1234])
  })

  test.each<[string, unknown]>([
    ['a Request', new Request('https://mcp.example.com')],
    ['no absolute URL', '/mcp?key=the-secret'],
    ['a URL with a user', 'https://the-secret@mcp.example.com'],
    ['a URL with a password', new URL('https://:the-secret@mcp.example.com')]
  ])('T13 for %s is refused by name, unquoted', async (_what, input) => {
    const error = await authFetch([])(input as string).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringMatching(/^option url:/) })
    expect(String(error)).not.toContain('the-secret')
  })
})

describe('an error', () => {
  test('of a layer reaches the caller itself, not inside the one that fetch makes of it', async () => {
    const error = new McpAuthError('MCPAUTH_TOKEN_REFUSED', 'refused')
    await expect(authFetch(failing(error))('http://127.0.0.1:49009')).rejects.toBe(error)
  })

  test("of the network is fetch's own, with its cause", async () => {
    const reset = new Error('reset')
    await expect(authFetch(failing(reset))('http://127.0.0.1:49009')).rejects.toMatchObject({ name: 'TypeError', cause: reset })
  })

  test('about a header is one of an option, since it would quote the header', async () => {
    const error = await authFetch([])('http://127.0.0.1:49009', { headers: { x: 'the secret\n!' } }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringMatching(/^option init\.headers:/) })
    expect(error).not.toHaveProperty('cause')
  })

  test("of the caller's own abort is the caller's reason", async () => {
    const reason = Object.assign(new Error('about a header'), { cause: new McpAuthError('MCPAUTH_CLOSED', 'of another') })
    await expect(authFetch([])('http://127.0.0.1:49009', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})

describe('the road', () => {
  const connection = (passed: string[]): Interceptor =>
    describeLayer(
      (dispatch) => (options, handler) => {
        passed.push('connection')
        return dispatch(options, handler)
      },
      { kind: 'connection', server: new URL('https://mcp.example.com'), sets: [] }
    )
  const end = (name: string, passed: string[]): { dispatch(options: DispatchOptions, handler: object): boolean } => ({
    dispatch: () => {
      passed.push(name)
      return true
    }
  })
  const request = { path: '/', method: 'GET', origin: 'https://as.example.com' }
  const handler = { onRequestStart: () => undefined }

  /** The road as a layer gets it. */
  async function roadOf(options: AuthFetchOptions, passed: string[] = []): Promise<Road> {
    const { layer, roads } = watching()
    const stop = failing(new Error('far enough'))
    await authFetch([layer, stop, connection(passed)], options)('https://mcp.example.com').catch(() => undefined)
    return roads[0] as Road
  }

  test('leads to authorization servers past connections alone, to the end that the caller chose for them or for all', async () => {
    const passed: string[] = []
    const one = await roadOf({ dispatcher: end('own', passed) }, passed)
    one.network(request, handler)
    expect(passed.splice(0)).toEqual(['connection', 'own'])
    const two = await roadOf({ dispatcher: end('own', passed), authorizationServerDispatcher: end('other', passed) }, passed)
    two.network(request, handler)
    expect(passed).toEqual(['connection', 'other'])
  })

  test('lets a source choose another end only where the caller chose none', async () => {
    const passed: string[] = []
    const free = await roadOf({}, passed)
    free.networkOver?.(end('checked', passed).dispatch)(request, handler)
    expect(passed).toEqual(['connection', 'checked'])
    expect((await roadOf({ dispatcher: end('own', passed) })).networkOver).toBeUndefined()
    expect((await roadOf({ authorizationServerDispatcher: end('other', passed) })).networkOver).toBeUndefined()
  })

  test('is bound to paths, and tells nobody of refusals, unless a transport says so', async () => {
    const road = await roadOf({})
    expect([road.bind, 'refused' in road]).toEqual(['path', false])
  })

  test('is laid once, and for both when two requests are the first', async () => {
    const url = await serve((_request, response) => response.end())
    const { layer, roads } = watching()
    await using fetch = authFetch([layer])
    await Promise.all([fetch(url), fetch(url)])
    await fetch(url)
    expect(roads).toHaveLength(1)
  })
})

describe('closing', () => {
  test('closes our own connections, lets waiting layers go, and lets nothing be sent any more', async () => {
    const url = await serve((_request, response) => response.end())
    const { layer, requests, roads } = watching()
    const fetch = authFetch(layer)
    await fetch(url)
    expect(roads[0]?.closed.aborted).toBe(false)
    await fetch[Symbol.asyncDispose]()
    expect(roads[0]?.closed).toMatchObject({ aborted: true, reason: { code: 'MCPAUTH_CLOSED' } })
    await expect(fetch(url)).rejects.toMatchObject({ code: 'MCPAUTH_CLOSED' })
    expect(requests).toHaveLength(1)
  })

  test('twice, also at the same time, closes once', async () => {
    const url = await serve((_request, response) => response.end())
    const fetch = authFetch([])
    await fetch(url)
    await Promise.all([fetch[Symbol.asyncDispose](), fetch[Symbol.asyncDispose]()])
    await fetch[Symbol.asyncDispose]()
  })

  test('before anything was sent is nothing, and stays closed', async () => {
    const fetch = authFetch([])
    await fetch[Symbol.asyncDispose]()
    await expect(fetch('https://mcp.example.com')).rejects.toMatchObject({ code: 'MCPAUTH_CLOSED' })
  })

  test("leaves the caller's dispatcher open", async () => {
    const url = await serve((_request, response) => response.end())
    const agent = new Agent()
    const fetch = authFetch([], { dispatcher: agent as never })
    await fetch(url)
    await fetch[Symbol.asyncDispose]()
    expect([agent.closed, agent.destroyed]).toEqual([false, false])
    await agent.close()
  })
})

test('T6: a redirect to another server passes what the user has put on the road, and none of our layers', async () => {
  const target = await serve((_request, response) => response.end('landed'))
  const from = await serve((_request, response) => response.writeHead(307, { location: target.href }).end())
  const [own, credential] = [watching(), watching()]
  const described = describeLayer(credential.layer, { kind: 'credential', server: target, sets: ['authorization'] })
  await using fetch = authFetch([own.layer, described])
  for (let time = 0; time < 2; time += 1) expect(await (await fetch(from)).text()).toBe('landed')
  const origins = ({ requests }: typeof own): string[] => requests.map(({ origin }) => String(origin))
  expect(origins(own)).toEqual([from.origin, target.origin, from.origin, target.origin])
  expect(origins(credential)).toEqual([from.origin, from.origin])
})

describe('a proxy of the environment', () => {
  test('is closed with the fetch, and so are the connections that go past it', async () => {
    vi.stubEnv('http_proxy', 'http://127.0.0.1:1')
    const { promise: closed, resolve } = Promise.withResolvers<void>()
    const url = await serve(({ socket }, response) => {
      Object.assign((socket as unknown as { server: object }).server, { keepAliveTimeout: 0 })
      socket.on('close', () => resolve())
      response.setHeader('keep-alive', 'timeout=600').end()
    })
    const fetch = authFetch([])
    await (await fetch(url)).text()
    await fetch[Symbol.asyncDispose]()
    await closed
  })

  const names = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY', 'no_proxy', 'NO_PROXY']

  test.each<[string, Record<string, string>, boolean]>([
    ['for both', { http_proxy: 'proxy', https_proxy: 'proxy' }, true],
    ['for http alone', { http_proxy: 'proxy' }, true],
    ['for http alone in capital letters', { HTTP_PROXY: 'proxy' }, true],
    ['in capital letters', { HTTPS_PROXY: 'proxy' }, true],
    ['for https alone, beside an empty one for http', { http_proxy: '', HTTP_PROXY: '', https_proxy: 'proxy' }, true],
    ['for https alone in capital letters, beside an empty one in small ones', { http_proxy: '', HTTPS_PROXY: 'proxy' }, true],
    ['that is empty', { http_proxy: '', https_proxy: '' }, false]
  ])('%s is used', async (_what, environment, used) => {
    const asked: string[] = []
    const proxy = createServer((request, response) => {
      asked.push(new URL(String(request.url)).host)
      response.end()
    }).on('connect', (request, socket) => {
      asked.push(String(request.url))
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void proxy.close())
    for (const name of names) vi.stubEnv(name, undefined)
    const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value && address)
    await using fetch = authFetch([])
    // Nobody listens there; what counts is who is asked.
    const https = Object.keys(environment).some((name) => /https/i.test(name))
    const host = https ? '127.0.0.1:49009' : 'mcp.example.invalid:49009'
    await fetch(`${https ? 'https' : 'http'}://${host}`).catch(() => undefined)
    expect(asked).toEqual(used ? [host] : [])
  })

  test.each(['127.0.0.1', 'localhost'])(
    'N25: what goes to %s in clear text does not pass it: a token would leave this machine',
    async (host) => {
      const { port } = new URL(await serve((_request, response) => response.end('direct')))
      for (const name of names) vi.stubEnv(name, undefined)
      // Nobody is there: whatever passes it fails.
      for (const name of ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY']) vi.stubEnv(name, 'http://127.0.0.1:1')
      const fetch = authFetch([])
      expect(await (await fetch(`http://${host}:${port}`)).text()).toBe('direct')
      await expect(fetch('http://mcp.example.invalid')).rejects.toThrow()
      await expect(fetch(`https://${host}:${port}`)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } })
      await fetch[Symbol.asyncDispose]()
      await expect(fetch(`http://${host}:${port}`)).rejects.toMatchObject({ code: 'MCPAUTH_CLOSED' })
    }
  )
})

test.each<[string, AuthFetchOptions]>([
  ['dispatcher', { dispatcher: {} as never }],
  ['authorizationServerDispatcher', { authorizationServerDispatcher: { dispatch: 1 } as never }],
  ['headersTimeoutMs', { headersTimeoutMs: -1 }],
  ['headersTimeoutMs', { headersTimeoutMs: Number.POSITIVE_INFINITY }]
])('a bad %s is refused at construction, by name', (name, options) => {
  expect(() => authFetch([], options)).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringMatching(new RegExp(`^option ${name}:`)) })
  )
})

test('as a middleware the requests leave through the next one, behind the layers', async () => {
  const { layer, requests } = watching()
  const next = vi.fn(async () => new Response('answer'))
  const fetch = authMiddleware(layer, { headersTimeoutMs: 77 })(next)
  expect(await (await fetch('https://mcp.example.com/mcp')).text()).toBe('answer')
  expect([requests.length, next.mock.calls.length]).toEqual([1, 1])
  expect(requests[0]?.headersTimeout).toBe(77)
})

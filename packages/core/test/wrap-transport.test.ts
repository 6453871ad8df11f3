import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { describeLayer, type FetchLike, type Interceptor, McpAuthError, type Road, wrapTransport } from '../src/index.ts'
import { replaying } from '../src/replay.ts'

interface Options {
  fetch?: FetchLike
  note?: string
}

/** What wrapTransport needs of an SDK's transport. It knows the SDKs' classes by their names. */
class Transport {
  readonly options: Options
  readonly told: unknown[] = []
  onerror: ((error: Error) => void) | undefined = (error) => void this.told.push(error)
  closing: Promise<void> = Promise.resolve()
  readonly closed = Promise.withResolvers<void>()

  constructor(_url: URL, options: Options = {}) {
    this.options = options
  }
  close(): Promise<void> {
    this.told.push('closed')
    this.closed.resolve()
    return this.closing
  }
  fetch(url: string | URL, init?: RequestInit): Promise<Response> {
    return (this.options.fetch as FetchLike)(url, init)
  }
}
class StreamableHTTPClientTransport extends Transport {}
class SSEClientTransport extends Transport {}
class StdioClientTransport extends Transport {}
class WebSocketClientTransport extends Transport {}

const url = new URL('https://mcp.example.com/mcp')
const refused = new McpAuthError('MCPAUTH_LOGIN_REQUIRED', 'log in')

/** A layer that never sends, and notes the path of its server when a request comes to it. */
function noting(server: URL, took: string[]): Interceptor {
  return describeLayer(
    () => () => {
      took.push(server.pathname)
      throw refused
    },
    { kind: 'credential', server, sets: [] }
  )
}

/** A layer that never sends, and shows its road. */
function refusing(): { layer: Interceptor; road(): Road } {
  let laid: Road | undefined
  const layer = describeLayer(
    (dispatch, road) => {
      laid = road
      const policy = { prepare: () => Promise.reject(refused), inspect: () => false, recover: async () => 'pass' as const }
      return (options, handler) => replaying(dispatch, options, handler, policy, road)
    },
    { kind: 'credential', server: url, sets: ['authorization', 'dpop'] }
  )
  return { layer, road: () => laid as Road }
}

test.each([
  [StreamableHTTPClientTransport, 'path'],
  [class Own extends StreamableHTTPClientTransport {}, 'path'],
  [SSEClientTransport, 'origin'],
  [class Own extends SSEClientTransport {}, 'origin'],
  [Transport, 'path'],
  [Object.defineProperty(class extends Transport {}, 'name', { value: 'toString' }), 'path']
])('the layers of %o are bound to its %s', async (Class, bind) => {
  const { layer, road } = refusing()
  const transport = wrapTransport(Class, url, layer, { transport: { note: 'kept' } })
  await transport.fetch(url, { method: 'POST' }).catch(() => undefined)
  expect([road().bind, transport.options.note]).toEqual([bind, 'kept'])
  await transport.close()
})

test('N26 an SSE transport has the layers of its own server alone: bound to the origin, they could not be told from those of another one there', async () => {
  const at = (path: string): URL => new URL(path, url)
  const took: string[] = []
  const layers = ['/a', '/a/inner', '/another'].map((path) => noting(at(path), took))
  for (const own of ['/a/sse', '/a/inner/sse', '/another', '/messages']) {
    const transport = wrapTransport(SSEClientTransport, at(own), layers)
    // The server announces where to post to: anywhere at its origin.
    for (const path of [own, '/messages?session=1']) await transport.fetch(at(path), { method: 'POST' }).catch(() => undefined)
    await transport.close()
  }
  // A transport at none of them has those of the longest path.
  expect(took).toEqual(['/a', '/a', '/a/inner', '/a/inner', '/another', '/another', '/a/inner', '/a/inner'])
})

test.each([StdioClientTransport, WebSocketClientTransport, class Own extends StdioClientTransport {}])(
  'N1 %o has no requests of its own and is refused',
  (Class) => {
    expect(() => wrapTransport(Class, url, refusing().layer)).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_UNSUPPORTED_TRANSPORT', hint: expect.stringMatching(/env|Streamable/) })
    )
  }
)

test.each<[string, object]>([
  ['transport.authProvider', { authProvider: {} }],
  ['transport.fetch', { fetch: () => undefined }],
  ['transport.fetch', { eventSourceInit: { fetch: () => undefined } }],
  ['transport.requestInit.headers', { requestInit: { headers: { AUTHORIZATION: 'mine' } } }],
  ['transport.requestInit.headers', { requestInit: { headers: [['DPoP', 'mine']] } }]
])('%s beside ours is refused by its name', (name, transport) => {
  expect(() => wrapTransport(StreamableHTTPClientTransport, url, refusing().layer, { transport })).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining(`option ${name}:`) })
  )
})

test('other options are the transport’s own, and those of the fetch are ours', () => {
  const plain: Interceptor = (dispatch) => dispatch
  for (const transport of [{}, { eventSourceInit: {} }, { requestInit: {} }, { requestInit: { headers: { 'x-tenant': 'a' } } }])
    expect(() => wrapTransport(SSEClientTransport, url, [plain, refusing().layer], { transport: transport as object })).not.toThrow()
  expect(() => wrapTransport(SSEClientTransport, url, plain, { headersTimeoutMs: -1 })).toThrow('headersTimeoutMs')
})

test('T19 a refusal on an event stream is its answer first, then the error, then the end of the transport, whatever its close says', async () => {
  const transport = wrapTransport(SSEClientTransport, url, refusing().layer)
  transport.closing = Promise.reject(new Error('cannot close'))
  transport.closing.catch(() => undefined)
  const response = await transport.fetch(url, { headers: { accept: 'text/event-stream' } })
  expect([response.status, transport.told]).toEqual([401, []])
  await transport.closed.promise
  expect(transport.told).toEqual([refused, 'closed'])
  // Its end is ours too, although its own failed.
  await expect.poll(() => transport.fetch(url).catch((error: McpAuthError) => error.code)).toBe('MCPAUTH_CLOSED')
})

test('a transport without onerror is closed all the same', async () => {
  const transport = wrapTransport(SSEClientTransport, url, refusing().layer)
  transport.onerror = undefined
  await transport.fetch(url, { headers: { accept: 'text/event-stream' } })
  await transport.closed.promise
})

test('closing the transport closes our connections, more than once too', async () => {
  const server = createServer((_request, response) => response.end('answer'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const at = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`)
  const plain: Interceptor = (dispatch) => dispatch
  const transport = wrapTransport(StreamableHTTPClientTransport, at, plain)
  expect(await (await transport.fetch(at)).text()).toBe('answer')
  await transport.close()
  await transport.close()
  expect(transport.told).toEqual(['closed', 'closed'])
  await expect(transport.fetch(at)).rejects.toMatchObject({ code: 'MCPAUTH_CLOSED' })
  await expect.poll(() => new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))).toBe(0)
})

test('a transport that is bound to its path keeps the layers of other servers, for what its SDK asks of them', async () => {
  const other = new URL('https://other.example.com/other')
  const seen: string[] = []
  const transport = wrapTransport(StreamableHTTPClientTransport, url, [noting(url, seen), noting(other, seen)])
  await expect(transport.fetch(other)).rejects.toBeDefined()
  expect(seen).toEqual([other.pathname])
})

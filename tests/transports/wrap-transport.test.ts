import { type AccessToken, type TokenSource, type TransportClass, type TransportLike, wrapTransport } from '@mcpauth/core'
import { withRefreshOn401 } from '@mcpauth/refresh-on-401'
import * as v2 from '@modelcontextprotocol/client'
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio'
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js'
import { describe, expect, test } from 'vitest'
import { type HttpServer, httpServer } from '../interfaces/http-server.ts'

const token: AccessToken = { value: 'the-access-token', scheme: 'Bearer', generation: 1, origin: 'stored' }
const source: TokenSource = { current: () => token, renew: async () => token }

type AnyTransport = TransportLike & { start(): Promise<void>; send(message: never): Promise<void>; onclose?: (() => void) | undefined }
type AnyClass = TransportClass<AnyTransport, object>

class UsersOwn extends StreamableHTTPClientTransport {}
class UsersOwnSse extends SSEClientTransport {}

const ping = { jsonrpc: '2.0', id: 1, method: 'ping' } as never

describe.each([
  ['v1 Streamable HTTP', StreamableHTTPClientTransport],
  ['v2 Streamable HTTP', v2.StreamableHTTPClientTransport],
  ["a user's subclass of it", UsersOwn]
] as unknown as Array<[string, AnyClass]>)('wrapTransport with %s', (_name, Transport) => {
  function server(): Promise<HttpServer> {
    return httpServer((_request, response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"jsonrpc":"2.0","id":1,"result":{}}')
    )
  }

  test('puts the token on its requests, on its path only, and ends our connections with it', async () => {
    await using http = await server()
    const url = new URL('/mcp', http.url)
    const transport = wrapTransport(Transport, url, withRefreshOn401(url, source))
    await transport.start()
    await transport.send(ping)
    expect(http.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer the-access-token'])
    await transport.close()
    await expect.poll(() => new Promise((resolve) => http.server.getConnections((_error, count) => resolve(count)))).toBe(0)
    await expect(transport.send(ping)).rejects.toThrow()
  })

  test('refuses an authProvider, a fetch, and a static Authorization beside ours, and takes other headers', () => {
    const url = new URL('https://mcp.example.com/mcp')
    const wrap = (transport: object): unknown => wrapTransport(Transport, url, withRefreshOn401(url, source), { transport })
    for (const refused of [
      { authProvider: {} },
      { fetch: () => undefined },
      { requestInit: { headers: { AUTHORIZATION: 'Bearer mine' } } },
      { requestInit: { headers: [['authorization', 'x']] } }
    ]) {
      expect(() => wrap(refused)).toThrow(expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION' }))
    }
    expect(() => wrap({ requestInit: { headers: { 'x-tenant': 'acme' } } })).not.toThrow()
  })
})

describe.each([
  ['v1 SSE', SSEClientTransport],
  ['v2 SSE', v2.SSEClientTransport],
  ["a user's subclass of it", UsersOwnSse]
] as unknown as Array<[string, AnyClass]>)('wrapTransport with %s', (_name, Transport) => {
  test('binds the layers to the origin, since the server announces where to POST', async () => {
    await using http = await httpServer((request, response) => {
      if (request.method === 'GET')
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write('event: endpoint\ndata: /messages?session=1\n\n')
      else response.writeHead(202).end()
    })
    const url = new URL('/sse', http.url)
    const transport = wrapTransport(Transport, url, withRefreshOn401(url, source))
    await transport.start()
    await transport.send(ping)
    expect(http.requests.map(({ method, path, headers }) => [method, path, headers.authorization])).toEqual([
      ['GET', '/sse', 'Bearer the-access-token'],
      ['POST', '/messages?session=1', 'Bearer the-access-token']
    ])
    await transport.close()
  })
})

test.each([
  ['v1 stdio', StdioClientTransport],
  ['v2 stdio', StdioV2],
  ['v1 WebSocket', WebSocketClientTransport]
] as unknown as Array<[string, AnyClass]>)('N1 wrapTransport refuses %s and says what to do', (_name, Transport) => {
  const url = new URL('https://mcp.example.com/mcp')
  expect(() => wrapTransport(Transport, url, withRefreshOn401(url, source))).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_UNSUPPORTED_TRANSPORT', hint: expect.stringMatching(/env|Streamable/) })
  )
})

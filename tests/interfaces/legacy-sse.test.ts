import { McpAuthError, type TokenSource, wrapTransport } from '@mcpauth/core'
import { withRefreshOn401 } from '@mcpauth/refresh-on-401'
import { SSEClientTransport as SseV2 } from '@modelcontextprotocol/client'
import { SSEClientTransport as SseV1 } from '@modelcontextprotocol/sdk/client/sse.js'
import { expect, test } from 'vitest'
import { httpServer } from './http-server.ts'

const hopeless: TokenSource = {
  current: () => ({ value: 'a-refused-token', scheme: 'Bearer', generation: 1, origin: 'stored' }),
  async renew() {
    throw new McpAuthError('MCPAUTH_LOGIN_REQUIRED', 'a login is needed', { hint: 'npx @mcpauth/cli login <url>' })
  }
}

// The two classes differ in types only.
const transports = { v1: SseV1, v2: SseV2 as unknown as typeof SseV1 }

for (const [name, Transport] of Object.entries(transports)) {
  test(`T19 the SSE transport of SDK ${name} stops at a server that refuses for ever: one request, the typed error at onerror, the transport closed`, async () => {
    await using server = await httpServer((_request, response) => response.writeHead(401, { 'www-authenticate': 'Bearer' }).end('no'))
    const transport = wrapTransport(Transport, new URL('/sse', server.url), withRefreshOn401(server.url, hopeless))
    const errors: Error[] = []
    const closed = new Promise<void>((resolve) => {
      transport.onclose = resolve
    })
    transport.onerror = (error) => errors.push(error)
    await expect(transport.start()).rejects.toThrow(/401/)
    await closed
    expect(errors.filter(McpAuthError.is).map(({ code }) => code)).toEqual(['MCPAUTH_LOGIN_REQUIRED'])
    expect(server.requests).toHaveLength(1)
  })
}

import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { authFetch } from '@mcpauth/core'
import { afterEach, expect, test, vi } from 'vitest'

afterEach(() => vi.unstubAllEnvs())

test('N25: an https server is reached through HTTPS_PROXY by CONNECT, and the proxy sees no header of the request', async () => {
  let seen = ''
  const proxy = createServer().on('connect', (request, socket: Socket, head) => {
    seen += `${request.method} ${request.url} ${JSON.stringify(request.headers)} ${head.toString('latin1')}`
    socket.on('data', (chunk: Buffer) => {
      seen += chunk.toString('latin1')
    })
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  for (const name of ['HTTPS_PROXY', 'https_proxy']) vi.stubEnv(name, url)
  for (const name of ['NO_PROXY', 'no_proxy']) vi.stubEnv(name, '')
  await using send = authFetch([])
  const headers = { authorization: 'Bearer the-token-of-the-request' }
  await expect(send('https://mcp.example.com/mcp', { method: 'POST', body: 'the-body', headers })).rejects.toThrow()
  expect(seen).toContain('CONNECT mcp.example.com:443')
  expect(seen).not.toMatch(/the-token|the-body/)
  proxy.close()
})

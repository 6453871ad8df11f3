import { type AccessToken, authFetch, type TokenSource } from '@mcpauth/core'
import { withRefreshOn401 } from '@mcpauth/refresh-on-401'
import { expect, test } from 'vitest'
import { httpServer } from './http-server.ts'

function fixed(value: string): TokenSource {
  const token: AccessToken = { value, scheme: 'Bearer', generation: 1, origin: 'stored' }
  return { current: () => token, renew: async () => token }
}

test('N26 two MCP servers on one origin in one authFetch: each gets its own token, the longer prefix wins, the rest gets none', async () => {
  await using server = await httpServer((_request, response) => response.end())
  const at = (path: string): URL => new URL(path, server.url)
  await using fetch = authFetch([
    withRefreshOn401(at('/mcp'), fixed('token-of-mcp')),
    withRefreshOn401(at('/mcp/inner'), fixed('token-of-inner')),
    withRefreshOn401(at('/other'), fixed('token-of-other'))
  ])
  const expected = {
    '/mcp': 'Bearer token-of-mcp',
    '/mcp/x': 'Bearer token-of-mcp',
    '/mcp/inner': 'Bearer token-of-inner',
    '/mcp/inner/y?z=1': 'Bearer token-of-inner',
    '/mcp/innermost': 'Bearer token-of-mcp',
    '/other': 'Bearer token-of-other',
    '/mcp-evil': undefined,
    '/': undefined,
    '/authorize': undefined
  }
  for (const path of Object.keys(expected)) await fetch(at(path))
  expect(Object.fromEntries(server.requests.map(({ path, headers }) => [path, headers.authorization]))).toEqual(expected)
})

import { type AccessToken, authMiddleware, type TokenSource } from '@mcpauth/core'
import { withRefreshOn401 } from '@mcpauth/refresh-on-401'
import { applyMiddlewares as applyV2 } from '@modelcontextprotocol/client'
import { applyMiddlewares as applyV1, type Middleware } from '@modelcontextprotocol/sdk/client/middleware.js'
import { expect, test } from 'vitest'
import { httpServer } from '../interfaces/http-server.ts'

test.each([
  ['v1', applyV1],
  ['v2', applyV2 as unknown as typeof applyV1]
])(
  'authMiddleware in applyMiddlewares of SDK %s: a refused token is replaced, the replay leaves through the next middleware',
  async (_name, apply) => {
    await using server = await httpServer((request, response) => {
      response.writeHead(request.headers.authorization === 'Bearer token-2' ? 200 : 401).end('answer')
    })
    let token: AccessToken = { value: 'token-1', scheme: 'Bearer', generation: 1, origin: 'stored' }
    const source: TokenSource = {
      current: () => token,
      async renew() {
        token = { ...token, value: 'token-2', generation: 2, origin: 'refreshed' }
        return token
      }
    }
    const seen: unknown[] = []
    const spy: Middleware = (next) => (url, init) => {
      seen.push(new Headers(init?.headers).get('authorization'))
      return next(url, init)
    }
    const before: unknown[] = []
    const spyBefore: Middleware = (next) => (url, init) => {
      before.push(new Headers(init?.headers).get('authorization'))
      return next(url, init)
    }
    // The SDKs apply the last listed outermost.
    const fetch = apply(spy, authMiddleware(withRefreshOn401(server.url, source)) as Middleware, spyBefore)(globalThis.fetch)
    const response = await fetch(server.url, { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } })
    expect([response.status, await response.text(), response instanceof Response]).toEqual([200, 'answer', true])
    expect(before).toEqual([null])
    expect(seen).toEqual(['Bearer token-1', 'Bearer token-2'])
    expect(server.requests.map(({ body }) => body)).toEqual(['{"a":1}', '{"a":1}'])
  }
)

import type { Interceptor, TokenStore } from '@mcpauth/core'
import { browserLogin, type OAuthOptions, type OAuthTokens, oauthTokens, withOAuth } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { expect } from 'vitest'
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  type McpServerV1,
  startAuthorizationServer,
  startMcpServerV1,
  startMcpServerV2,
  type TestMcpServer
} from '../servers/index.ts'
import { connect, type Way, type WireClient } from './clients.ts'

/** One way from an SDK to a server. */
export interface Road extends Way {
  readonly name: string
  start(as: AuthorizationServer): Promise<TestMcpServer>
}

const v1Json = (as: AuthorizationServer): Promise<McpServerV1> => startMcpServerV1({ authorizationServer: as, answers: 'json' })
const v1Sse = (as: AuthorizationServer): Promise<McpServerV1> => startMcpServerV1({ authorizationServer: as, answers: 'sse' })
const v2 = (as: AuthorizationServer): Promise<TestMcpServer> => startMcpServerV2({ authorizationServer: as })

export const roads: readonly Road[] = [
  { name: 'SDK v1, Streamable HTTP, JSON answers', sdk: 'v1', transport: 'http', start: v1Json },
  { name: 'SDK v1, Streamable HTTP, SSE answers', sdk: 'v1', transport: 'http', start: v1Sse },
  { name: 'SDK v1, legacy SSE', sdk: 'v1', transport: 'sse', start: v1Sse },
  { name: 'SDK v2, Streamable HTTP, stateless server', sdk: 'v2', transport: 'http', start: v2 },
  { name: 'SDK v2, Streamable HTTP, JSON answers', sdk: 'v2', transport: 'http', start: v1Json },
  { name: 'SDK v2, Streamable HTTP, SSE answers', sdk: 'v2', transport: 'http', start: v1Sse },
  { name: 'SDK v2, legacy SSE', sdk: 'v2', transport: 'sse', start: v1Sse }
]

/** Those with a GET stream and a DELETE: the server has sessions. */
export const statefulRoads: readonly Road[] = roads.filter(({ transport, start }) => transport === 'http' && start !== v2)

/** A real authorization server, a real MCP server, and tokens of a login that has happened. */
export interface Scene extends AsyncDisposable {
  readonly as: AuthorizationServer
  readonly server: TestMcpServer
  readonly url: URL
  readonly tokens: OAuthTokens
  /** Where those tokens are kept: for a layer that may use them and cannot log in. */
  readonly store: TokenStore
  /** @param layers @default withOAuth(url, tokens) */
  connect(layers?: Interceptor): Promise<WireClient>
}

export async function openScene(road: Road, options: { as?: AuthorizationServerOptions; oauth?: OAuthOptions } = {}): Promise<Scene> {
  const as = await startAuthorizationServer(options.as)
  const server = await road.start(as)
  const url = road.transport === 'sse' ? (server as McpServerV1).sseUrl : server.url
  const store = options.oauth?.store ?? memoryStore()
  const tokens = oauthTokens(url, { login: scriptedLogin(as), ...options.oauth, store })
  await tokens.login()
  forget(as, server)
  return {
    as,
    server,
    url,
    tokens,
    store,
    async connect(layers = withOAuth(url, tokens)) {
      const client = await connect(road, url, layers)
      // The SDKs open their GET stream behind the caller's back; a token that expires now must not meet it.
      await expect.poll(() => server.requests.some(({ method, status }) => method === 'GET' && status !== undefined)).toBe(true)
      return client
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await as[Symbol.asyncDispose]()
    }
  }
}

/** What a login costs is not what these tests count. */
function forget(as: AuthorizationServer, server: TestMcpServer): void {
  as.ledger.reset()
  server.origin.requests.length = 0
  for (const place of ['POST', 'GET', 'DELETE', 'SSE'] as const) server.refusals[place] = 0
}

/** A browser in which a script presses the button. */
export function scriptedLogin(as: AuthorizationServer): ReturnType<typeof browserLogin> {
  return browserLogin({ open: async (url) => void (await as.approve(url)), print: () => undefined, timeoutMs: 30_000 })
}

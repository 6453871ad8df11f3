import { type OAuthTokens, oauthTokens } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2, SSEClientTransport as SseV2 } from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport as SseV1 } from '@modelcontextprotocol/sdk/client/sse.js'
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { expect } from 'vitest'
import { type RecordedRequest, startAuthorizationServer, startMcpServerV2 } from '../servers/index.ts'
import { openScene, type Road, roads, type Scene, scriptedLogin } from '../wire/roads.ts'

/** A client that has nothing but a provider, and every answer and request that its SDK saw. */
export interface ProviderClient extends AsyncDisposable {
  call(tool: string, args?: Record<string, unknown>): Promise<string>
  readonly errors: Error[]
}

/** Connects with the SDK's own fetch and its `authProvider` option: none of our layers is on this road. */
export async function connectWith(road: Road, url: URL, authProvider: unknown): Promise<ProviderClient> {
  const errors: Error[] = []
  const info = { name: 'provider-test', version: '1.0.0' }
  const client = road.sdk === 'v1' ? new ClientV1(info) : new ClientV2(info)
  client.onerror = (error) => void errors.push(error)
  const Transport = transportOf(road)
  await client.connect(new Transport(url, { authProvider: authProvider as never }) as never)
  return {
    errors,
    async call(name, args = {}) {
      const result = await client.callTool({ name, arguments: args } as never)
      return (result as { content: Array<{ text: string }> }).content[0]?.text ?? ''
    },
    [Symbol.asyncDispose]: () => client.close()
  }
}

function transportOf({ sdk, transport }: Road): typeof HttpV1 | typeof HttpV2 | typeof SseV1 | typeof SseV2 {
  if (transport === 'sse') return sdk === 'v1' ? SseV1 : SseV2
  return sdk === 'v1' ? HttpV1 : HttpV2
}

export const roadsOf = (sdk: Road['sdk']): Road[] => roads.filter((road) => road.sdk === sdk)

/** The SDKs open their GET stream behind the caller's back; a token that expires now must not meet it. */
export async function settled(scene: Scene): Promise<void> {
  await expect.poll(() => scene.server.requests.some(({ method, status }) => method === 'GET' && status !== undefined)).toBe(true)
}

/** Twenty calls at once, each with its own answer. */
export async function callTwentyTimes(client: ProviderClient): Promise<void> {
  const texts = Array.from({ length: 20 }, (_, n) => `call ${n}`)
  expect(await Promise.all(texts.map((text) => client.call('echo', { text })))).toEqual(texts)
}

/** Many calls on a token that is at its end by our clock, though the server would still take it: one refresh, and no refusal. */
export async function refreshesOnceForManyCalls(road: Road, provide: (tokens: OAuthTokens) => unknown): Promise<void> {
  let offset = 0
  await using scene = await openScene(road, { oauth: { now: () => Date.now() + offset } })
  await using client = await connectWith(road, scene.url, provide(scene.tokens))
  await settled(scene)
  offset = 700_000
  await callTwentyTimes(client)
  expect(scene.as.ledger).toMatchObject({ refreshes: 1, refusedRefreshes: 0, reuses: 0, revokedGrants: 0 })
  expect(scene.server.refusals.POST).toBe(0)
}

/** A token that is bound to a key ends a provider's connection before anything is sent: no SDK could send its proof. */
export async function refusesBoundTokens(ways: readonly Road[], provide: (tokens: OAuthTokens) => unknown): Promise<void> {
  await using as = await startAuthorizationServer({ dpop: true })
  await using server = await startMcpServerV2({ authorizationServer: as })
  const tokens = oauthTokens(server.url, { dpop: true, login: scriptedLogin(as), store: memoryStore() })
  await tokens.login()
  const before = server.requests.length
  for (const road of ways) {
    await expect(connectWith(road, server.url, provide(tokens))).rejects.toMatchObject({ code: 'MCPAUTH_UNSUPPORTED_TRANSPORT' })
  }
  expect(server.requests).toHaveLength(before)
}

/** What the authorization server has been asked since the login, by path. */
export function askedOf(requests: readonly RecordedRequest[], from: number): string[] {
  return requests.slice(from).map(({ path }) => path.split('?')[0] as string)
}

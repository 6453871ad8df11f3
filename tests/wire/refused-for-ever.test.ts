// A server that answers 401 whatever it is shown. The SDKs' own providers ask the token endpoint a hundred times a second here.
import { setTimeout as delay } from 'node:timers/promises'
import { McpAuthError, wrapTransport } from '@mcpauth/core'
import { withOAuth } from '@mcpauth/oauth'
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2, SSEClientTransport as SseV2 } from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport as SseV1 } from '@modelcontextprotocol/sdk/client/sse.js'
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { describe, expect, test } from 'vitest'
import type { McpServerV1 } from '../servers/index.ts'
import { openScene, roads, statefulRoads } from './roads.ts'

/** That nothing happens can only be watched. One watch serves all tests, which run at the same time. */
const watchMs = Number(process.env.MCPAUTH_WATCH_MS ?? 15_000)

const typed = expect.objectContaining({ name: 'McpAuthError', code: expect.stringMatching(/^MCPAUTH_(TOKEN_REFUSED|LOGIN_REQUIRED)$/) })

describe.concurrent.each(roads)('$name', (road) => {
  test('T19 a POST that is refused for ever ends with a typed error, and nothing loops', { timeout: 60_000 }, async () => {
    await using scene = await openScene(road, { oauth: { loginWaitMs: 0 } })
    await using client = await scene.connect()
    await client.call('echo', { text: 'x' })
    const before = scene.server.requests.length
    scene.server.refuse('POST')
    const failure = await client.call('echo', { text: 'x' }).catch((error: unknown) => error)
    expect(McpAuthError.is(failure) ? failure : ((failure as Error).cause ?? failure)).toEqual(typed)
    const after = scene.server.requests.length - before
    expect(after).toBeLessThanOrEqual(3)
    expect(scene.as.ledger.refreshes).toBeLessThanOrEqual(1)
    await delay(watchMs)
    expect(scene.server.requests.length - before).toBe(after)
    expect(scene.as.ledger).toMatchObject({ reuses: 0, revokedGrants: 0 })
  })
})

describe.concurrent.each(statefulRoads)('$name', (road) => {
  test('T19 a GET stream that is refused for ever ends the wrapped transport with a typed error', { timeout: 60_000 }, async () => {
    await using scene = await openScene(road, { oauth: { loginWaitMs: 0 } })
    const server = scene.server as McpServerV1
    server.refuse('GET')
    const errors: Error[] = []
    const closed = Promise.withResolvers<void>()
    const client = road.sdk === 'v1' ? new ClientV1({ name: 'x', version: '1' }) : new ClientV2({ name: 'x', version: '1' })
    client.onerror = (error) => void errors.push(error)
    client.onclose = () => closed.resolve()
    const layers = withOAuth(scene.url, scene.tokens)
    await client.connect((road.sdk === 'v1' ? wrapTransport(HttpV1, scene.url, layers) : wrapTransport(HttpV2, scene.url, layers)) as never)
    await closed.promise
    expect(errors).toContainEqual(typed)
    const refused = server.refusals.GET
    expect(refused).toBeLessThanOrEqual(3)
    await delay(watchMs)
    expect(server.refusals.GET).toBe(refused)
    expect(scene.as.ledger.refreshes).toBeLessThanOrEqual(1)
  })
})

describe.concurrent.each([
  ['v1', SseV1],
  ['v2', SseV2]
] as const)('SDK %s', (sdk, Transport) => {
  test('T19 an SSE connect that is refused for ever fails with a typed error, and nothing reconnects', { timeout: 60_000 }, async () => {
    await using scene = await openScene(roads.find((road) => road.sdk === sdk && road.transport === 'sse') as never, {
      oauth: { loginWaitMs: 0 }
    })
    scene.server.refuse('SSE')
    const errors: Error[] = []
    const client = sdk === 'v1' ? new ClientV1({ name: 'x', version: '1' }) : new ClientV2({ name: 'x', version: '1' })
    client.onerror = (error) => void errors.push(error)
    const transport = wrapTransport(Transport as typeof SseV1, scene.url, withOAuth(scene.url, scene.tokens))
    await expect(client.connect(transport as never)).rejects.toThrow()
    const refused = scene.server.refusals.SSE
    expect(refused).toBeGreaterThan(0)
    expect(refused).toBeLessThanOrEqual(3)
    await delay(watchMs)
    expect(scene.server.refusals.SSE).toBe(refused)
    expect(errors).toContainEqual(typed)
    expect(scene.as.ledger.refreshes).toBeLessThanOrEqual(1)
  })
})

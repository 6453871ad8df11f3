// A server that answers 401 whatever it is shown. The SDKs' own providers ask the token endpoint a hundred times a second here.
import { setTimeout as delay } from 'node:timers/promises'
import { McpAuthError, wrapTransport } from '@mcpauth/core'
import { withOAuth } from '@mcpauth/oauth'
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2, SSEClientTransport as SseV2 } from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport as SseV1 } from '@modelcontextprotocol/sdk/client/sse.js'
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterAll, describe, expect, test } from 'vitest'
import type { McpServerV1 } from '../servers/index.ts'
import { openScene, roads, statefulRoads } from './roads.ts'

// That nothing more happens can only be watched: what every test has opened stays open, and the last one waits and looks again.
const opened: AsyncDisposable[] = []
const counters: Array<{ name: string; count: () => number; expected: number }> = []
afterAll(async () => {
  for (const resource of opened.reverse()) await resource[Symbol.asyncDispose]()
})

function keep<T extends AsyncDisposable>(resource: T): T {
  opened.push(resource)
  return resource
}

function watch(name: string, count: () => number): void {
  counters.push({ name, count, expected: count() })
}

const typed = (code: string): unknown => expect.objectContaining({ name: 'McpAuthError', code })

describe.each(roads)('$name', (road) => {
  test('T19 a POST that is refused for ever, and nobody to log in: a typed error, and nothing loops', async () => {
    const scene = keep(await openScene(road))
    const client = keep(await scene.connect(withOAuth(scene.url, { store: scene.store })))
    await client.call('echo', { text: 'x' })
    const before = scene.server.requests.length
    scene.server.refuse('POST')
    expect(await failureOf(client.call('echo', { text: 'x' }))).toEqual(typed('MCPAUTH_LOGIN_REQUIRED'))
    // Refused with the old token and with the refreshed one.
    expect(scene.server.requests.length - before).toBe(2)
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, logins: 0 })
    watch('requests', () => scene.server.requests.length)
    watch('refreshes', () => scene.as.ledger.refreshes)
  })

  test('T19 a POST that is refused even after a login: one login, a typed error, and nothing loops', async () => {
    const scene = keep(await openScene(road))
    const client = keep(await scene.connect())
    await client.call('echo', { text: 'x' })
    const before = scene.server.requests.length
    scene.server.refuse('POST')
    expect(await failureOf(client.call('echo', { text: 'x' }))).toEqual(typed('MCPAUTH_TOKEN_REFUSED'))
    // With the old token, the refreshed one and the granted one.
    expect(scene.server.requests.length - before).toBe(3)
    expect(scene.as.ledger).toMatchObject({ refreshes: 1, logins: 1 })
    watch('requests', () => scene.server.requests.length)
    watch('logins', () => scene.as.ledger.logins)
    watch('refreshes', () => scene.as.ledger.refreshes)
  })
})

/** SDK v2 wraps what its fetch threw. */
async function failureOf(call: Promise<unknown>): Promise<unknown> {
  const failure = await call.then(
    () => new Error('the call succeeded'),
    (error: unknown) => error
  )
  return McpAuthError.is(failure) ? failure : ((failure as Error).cause ?? failure)
}

describe.each(statefulRoads)('$name', (road) => {
  test('T19 a GET stream that is refused for ever ends the wrapped transport with a typed error', async () => {
    const scene = keep(await openScene(road))
    const server = scene.server as McpServerV1
    server.refuse('GET')
    const errors: Error[] = []
    const closed = Promise.withResolvers<void>()
    const client = road.sdk === 'v1' ? new ClientV1({ name: 'x', version: '1' }) : new ClientV2({ name: 'x', version: '1' })
    client.onerror = (error) => void errors.push(error)
    client.onclose = () => closed.resolve()
    const layers = withOAuth(scene.url, { store: scene.store })
    await client.connect((road.sdk === 'v1' ? wrapTransport(HttpV1, scene.url, layers) : wrapTransport(HttpV2, scene.url, layers)) as never)
    await closed.promise
    expect(errors).toContainEqual(typed('MCPAUTH_LOGIN_REQUIRED'))
    const refused = server.refusals.GET
    expect(refused).toBeLessThanOrEqual(3)
    expect(scene.as.ledger.refreshes).toBeLessThanOrEqual(1)
    watch('GET streams', () => server.refusals.GET)
    watch('requests', () => server.requests.length)
  })
})

describe.each([
  ['v1', SseV1],
  ['v2', SseV2]
] as const)('SDK %s', (sdk, Transport) => {
  test('T19 an SSE connect that is refused for ever fails with a typed error, and nothing reconnects', async () => {
    const scene = keep(await openScene(roads.find((road) => road.sdk === sdk && road.transport === 'sse') as never))
    scene.server.refuse('SSE')
    const errors: Error[] = []
    const client = sdk === 'v1' ? new ClientV1({ name: 'x', version: '1' }) : new ClientV2({ name: 'x', version: '1' })
    client.onerror = (error) => void errors.push(error)
    const transport = wrapTransport(Transport as typeof SseV1, scene.url, withOAuth(scene.url, { store: scene.store }))
    await expect(client.connect(transport as never)).rejects.toThrow()
    const refused = scene.server.refusals.SSE
    expect(refused).toBeGreaterThan(0)
    expect(refused).toBeLessThanOrEqual(3)
    await expect.poll(() => errors).toContainEqual(typed('MCPAUTH_LOGIN_REQUIRED'))
    expect(scene.as.ledger.refreshes).toBeLessThanOrEqual(1)
    watch('SSE connects', () => scene.server.refusals.SSE)
  })
})

test('T19 for 15 seconds after that, no server is asked for anything', async () => {
  expect(counters.length).toBeGreaterThan(30)
  await delay(15_000)
  expect(counters.map(({ name, count }) => [name, count()])).toEqual(counters.map(({ name, expected }) => [name, expected]))
})

import { withBearer } from '@mcpauth/bearer-env'
import { authFetch, type Interceptor } from '@mcpauth/core'
import { createRedactor, requestLogger, withRedactor } from '@mcpauth/redactor'
import { applyMiddlewares as applyV2, withLogging as withLoggingV2 } from '@modelcontextprotocol/client'
import { applyMiddlewares as applyV1, withLogging as withLoggingV1 } from '@modelcontextprotocol/sdk/client/middleware.js'
import * as undici8 from 'undici'
import * as undici7 from 'undici7'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createCanary, leaksIn } from './canary.ts'
import { type EchoingServer, startEchoingServer } from './echoing-server.ts'

let server: EchoingServer
beforeAll(async () => {
  server = await startEchoingServer('unused')
  server.mood = 'answers HTML'
})
afterAll(() => server[Symbol.asyncDispose]())

type Undici = typeof undici8
const majors: Array<[name: string, undici: Undici]> = [
  ['undici 8', undici8],
  ['undici 7', undici7 as unknown as Undici]
]
const init = { method: 'POST', body: '{"password":"hunter2"}', headers: { 'content-type': 'application/json' } }

/** How a request can reach the layer. */
const roads: Array<[name: string, send: (layers: Interceptor[]) => Promise<string>]> = [
  [
    'authFetch',
    async (layers) => {
      await using fetch = authFetch(layers)
      return await (await fetch(server.url, init)).text()
    }
  ],
  ...majors.flatMap(([name, { Agent, fetch, request }]): typeof roads => {
    // In undici's compose the last listed sees the request first.
    const composed = (layers: Interceptor[]): undici8.Dispatcher => new Agent().compose(...([...layers].reverse() as never[]))
    return [
      [`${name}, fetch`, async (layers) => await (await fetch(server.url, { ...init, dispatcher: composed(layers) })).text()],
      [`${name}, request`, async (layers) => await (await request(server.url, { ...init, dispatcher: composed(layers) })).body.text()]
    ]
  })
]

test.each(roads)(
  'T13: behind a credential on the road of %s, the log has the exchange and no secret, and the answer is whole',
  async (_name, send) => {
    const token = createCanary('token')
    const lines: string[] = []
    const text = await send([
      withBearer(server.url, { get: () => token }),
      withRedactor(server.url, { log: (line) => lines.push(line), bodies: true })
    ])
    expect(leaksIn(text, { token })).toEqual(['token'])
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0] as string)).toMatchObject({ method: 'POST', url: server.url, status: 502 })
    expect(lines[0]).toContain('"authorization":"[REDACTED]"')
    expect(leaksIn(lines[0] as string, { token, password: 'hunter2' })).toEqual([])
  }
)

test.each([
  [
    'v1',
    (logger: ReturnType<typeof requestLogger>) =>
      applyV1(withLoggingV1({ logger, includeRequestHeaders: true, includeResponseHeaders: true }))
  ],
  [
    'v2',
    (logger: ReturnType<typeof requestLogger>) =>
      applyV2(withLoggingV2({ logger, includeRequestHeaders: true, includeResponseHeaders: true }))
  ]
])('T13: withLogging of SDK %s writes no secret through our logger', async (_sdk, middleware) => {
  const key = createCanary('key')
  const lines: string[] = []
  const fetch = middleware(requestLogger(createRedactor(), (line) => lines.push(line)))(globalThis.fetch)
  await (await fetch(`${server.url}?api_key=${key}`, { headers: { 'X-Api-Key': key, authorization: `Bearer ${key}` } })).text()
  expect(JSON.parse(lines[0] as string)).toMatchObject({ status: 502, requestHeaders: { 'x-api-key': '[REDACTED]' } })
  expect(leaksIn(lines.join(''), { key })).toEqual([])
})

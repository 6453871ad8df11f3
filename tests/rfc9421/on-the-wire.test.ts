// What is signed is what is sent: every request is verified from what a real server received, with nothing of ours on the way.
import { generateKeyPairSync } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { authFetch, compose, type Interceptor, type TokenSource } from '@mcpauth/core'
import { withHeaders } from '@mcpauth/header-injector'
import { withRefreshOn401 } from '@mcpauth/refresh-on-401'
import {
  keyDirectory,
  type VerifiedSignature,
  type VerifyOptions,
  verifySignature,
  wellKnownDirectory,
  withSignature,
  withWebBotAuth
} from '@mcpauth/rfc9421-signer'
import { startMcpServerV1, startMcpServerV2 } from '@mcpauth/tests/servers'
import { Agent as Agent8, fetch as fetch8, request as request8 } from 'undici'
import { Agent as Agent7, fetch as fetch7, request as request7 } from 'undici7'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connect } from '../wire/clients.ts'

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const known: VerifyOptions = { keys: [{ key: publicKey }] }

interface VerifyingServer {
  readonly url: URL
  readonly seen: VerifiedSignature[]
}

/** A server that answers 200 to signatures that hold, with what it made of the request, and 400 with the reason to others. */
async function startVerifyingServer(options: VerifyOptions = known): Promise<VerifyingServer> {
  const seen: VerifiedSignature[] = []
  const server = createServer((request, response) => {
    verified(request, options).then(
      (signature) => {
        seen.push(signature)
        response.end(JSON.stringify(signature.components))
      },
      (error: Error) => response.writeHead(400).end(error.message)
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`), seen }
}

async function verified(request: IncomingMessage, options: VerifyOptions): Promise<VerifiedSignature> {
  const body = Buffer.concat(await request.toArray())
  const url = `http://${request.headers.host}${request.url}`
  return verifySignature({ method: request.method ?? '', url, headers: request.rawHeaders, body }, options)
}

const everything = ['@method', '@target-uri', '@authority', '@scheme', '@path', '@query', '@request-target', 'host']

describe.each([
  {
    major: 7,
    Agent: Agent7 as never as typeof Agent8,
    request: request7 as never as typeof request8,
    fetch: fetch7 as never as typeof fetch8
  },
  { major: 8, Agent: Agent8, request: request8, fetch: fetch8 }
])('through undici $major', ({ Agent, request, fetch }) => {
  function dispatcherFor(layer: Interceptor): InstanceType<typeof Agent8> {
    const agent = new Agent()
    onTestFinished(() => agent.close())
    return agent.compose(layer as never) as never
  }

  it.each([
    ['plain', {}],
    ['query', { query: { a: ['1', '2'], 'b c': 'ü&=?', empty: '' } }],
    ['an odd path', { path: '/mcp/a%20B;x=1//y%C3%BC?q=%zz&q=+&&=' }],
    ['a Host of its own', { headers: { host: 'Behind.example:8080' } }],
    ['repeated headers', { headers: ['x-many', '1', 'X-Many', ' 2 ', 'content-type', 'text/plain'] }],
    ['headers as a Map', { headers: new Map([['Content-Type', 'text/plain']]) }],
    ['PUT', { method: 'PUT' as const, body: 'ü' }],
    ['no body', { method: 'POST' as const, body: null }],
    ['bytes', { method: 'POST' as const, body: new Uint8Array([0, 255, 10]) }],
    ['a Blob', { method: 'POST' as const, body: new Blob(['abc']) }]
  ])('request: %s', async (_, options) => {
    const { url, seen } = await startVerifyingServer()
    const layer = withSignature(url, {
      key: privateKey,
      components: everything,
      componentsIfPresent: ['x-many', 'content-type', 'content-length'],
      contentDigest: 'sha-256'
    })
    const path = 'path' in options ? options.path : url.pathname
    const { statusCode, body } = await request(url.origin, { dispatcher: dispatcherFor(layer), ...options, path } as never)
    expect([statusCode, await body.text()]).toEqual([200, expect.stringContaining('@method')])
    expect(seen).toHaveLength(1)
  })

  it('request: a stream', async () => {
    const { url, seen } = await startVerifyingServer()
    const layer = withSignature(url, { key: privateKey })
    const body = (await import('node:stream')).Readable.from([Buffer.from('one '), Buffer.from('two')])
    const { statusCode } = await request(url, { dispatcher: dispatcherFor(layer), method: 'POST', body })
    expect(statusCode).toBe(200)
    expect(seen[0]?.bodyVerified).toBe(true)
  })

  it('fetch, whose body is a generator', async () => {
    const { url, seen } = await startVerifyingServer()
    const layer = withSignature(url, { key: privateKey, components: [...everything, 'content-length', 'content-digest'] })
    const answer = await fetch(url, { dispatcher: dispatcherFor(layer), method: 'POST', body: '{"a":"ü"}' })
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('content-digest')])
    expect(seen[0]?.bodyVerified).toBe(true)
  })

  it('a request that cannot be signed fails with our error and sends nothing', async () => {
    const { url, seen } = await startVerifyingServer()
    const layer = withSignature(url, { key: privateKey, components: ['x-absent'] })
    await expect(request(url, { dispatcher: dispatcherFor(layer) })).rejects.toMatchObject({ code: 'MCPAUTH_SIGNATURE_INVALID' })
    expect(seen).toEqual([])
  })
})

describe('authFetch', () => {
  it('signs each of two signatures in two layers, over the headers of a third', async () => {
    const { url } = await startVerifyingServer({ ...known, label: 'two', required: ['x-tenant', 'signature;key="one"'] })
    await using fetch = authFetch([
      withHeaders(url, { 'X-Tenant': 'acme' }),
      withWebBotAuth(url, { key: privateKey, label: 'one' }),
      withSignature(url, { key: privateKey, label: 'two', components: ['@authority', 'x-tenant', 'signature;key="one"'] })
    ])
    const answer = await fetch(url, { method: 'POST', body: '{}' })
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('x-tenant')])
  })

  it('signs nothing for another server', async () => {
    const [mine, other] = [await startVerifyingServer(), await startVerifyingServer()]
    await using fetch = authFetch(withSignature(mine.url, { key: privateKey }))
    expect(await (await fetch(other.url)).text()).toContain('signature-input: not in the message')
  })

  it('keeps a server from taking a message twice', async () => {
    const spent = new Set<string>()
    const nonces = { add: (nonce: string) => !spent.has(nonce) && Boolean(spent.add(nonce)) }
    const { url } = await startVerifyingServer({ ...known, nonces })
    const captured: Array<Record<string, string>> = []
    const spy: Interceptor = (dispatch) => (options, handler) => {
      captured.push(options.headers as Record<string, string>)
      return dispatch(options, handler)
    }
    await using fetch = authFetch([withSignature(url, { key: privateKey }), spy])
    expect((await fetch(url)).status).toBe(200)
    expect((await fetch(url)).status).toBe(200)
    await using plain = authFetch([])
    const replayed = await plain(url, { headers: captured[0] as Record<string, string> })
    expect([replayed.status, await replayed.text()]).toEqual([400, 'nonce: used before'])
  })
})

describe('a replay after 401', () => {
  it.each([
    { sdk: 'v1' as const, start: startMcpServerV1 },
    { sdk: 'v2' as const, start: startMcpServerV2 }
  ])('through SDK $sdk is signed anew: new token under the signature, new nonce', async ({ sdk, start }) => {
    await using server = await start({ bearerToken: 'token-2' })
    let generation = 1
    const tokens: TokenSource = {
      current: () => ({ value: `token-${generation}`, scheme: 'Bearer', generation, origin: 'stored' }),
      async renew() {
        generation = 2
        return { value: 'token-2', scheme: 'Bearer', generation, origin: 'refreshed' }
      }
    }
    const bot = withWebBotAuth(server.url, {
      key: privateKey,
      components: ['@authority', '@method'],
      componentsIfPresent: ['authorization']
    })
    const layers = compose([withRefreshOn401(server.url, tokens), bot])
    await using client = await connect({ sdk, transport: 'http' }, server.url, layers)
    expect(await client.call('echo', { text: 'signed' })).toBe('signed')

    expect(server.requests.map(({ status }) => status)).toContain(401)
    const nonces = new Set<string | undefined>()
    for (const { method, path, headers } of server.requests) {
      const signed = { method, url: new URL(path, server.url.origin), headers }
      const verified = await verifySignature(signed, {
        ...known,
        tag: 'web-bot-auth',
        required: ['@authority', 'authorization', '@method']
      })
      nonces.add(verified.nonce)
    }
    expect(nonces.size).toBe(server.requests.length)
  })
})

describe('a key directory', () => {
  it('is fetched by a verifier that knows nothing but the request, and proves where it is from', async () => {
    const directory = keyDirectory([{ key: privateKey }])
    const host = createServer((request, response) => {
      if (request.url !== wellKnownDirectory) return response.writeHead(404).end()
      const { status, headers, body } = directory.respond(request.headers.host ?? '')
      response.writeHead(status, headers).end(body)
    })
    await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void host.close().closeAllConnections())
    const place = `http://127.0.0.1:${(host.address() as AddressInfo).port}${wellKnownDirectory}`

    const { url, seen } = await startVerifyingServer({
      async directory({ signatureAgent }) {
        expect(signatureAgent).toEqual({ label: 'sig1', uri: 'https://bot.example', type: 'directory' })
        const answer = await fetch8(place)
        const body = await answer.text()
        const response = { status: answer.status, headers: answer.headers, body, request: { method: 'GET', url: place, headers: {} } }
        const jwks = JSON.parse(body)
        expect((await verifySignature(response, { directory: jwks })).bodyVerified).toBe(true)
        return jwks
      },
      tag: 'web-bot-auth'
    })
    await using fetch = authFetch(withWebBotAuth(url, { key: privateKey, signatureAgent: 'https://bot.example' }))
    expect((await fetch(url)).status).toBe(200)
    expect(seen).toHaveLength(1)
  })
})

import { createHash, createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { HttpRequest } from '@smithy/protocol-http'
import { SignatureV4 } from '@smithy/signature-v4'
import fc from 'fast-check'
import { Agent } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withSigV4 } from '../src/index.ts'
import { keys, sessionKeys } from './fixtures.ts'
import { expectedSignature, headersOf, readClaim, type WireRequest } from './reference-signature.ts'

const nowMs = Date.UTC(2026, 10, 20, 12, 34, 56)
const scope = { region: 'eu-central-1', service: 'execute-api' }

let server: Server
let origin: string
let received: WireRequest
const agents = new Set<Agent>()

beforeAll(async () => {
  server = createServer(async (request, response) => {
    received = await wireRequest(request)
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterAll(async () => {
  await Promise.all([...agents].map((agent) => agent.close()))
  await new Promise((resolve) => server.close(resolve))
})

async function wireRequest(request: IncomingMessage): Promise<WireRequest> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return { method: request.method as string, url: request.url as string, rawHeaders: request.rawHeaders, body: Buffer.concat(chunks) }
}

function signingAgent(options: Partial<Parameters<typeof withSigV4>[1]> = {}): { request: Agent['request'] } {
  const agent = new Agent({ connections: 1 })
  agents.add(agent)
  return agent.compose(withSigV4(origin, { credentials: () => keys, ...scope, now: () => nowMs, ...options }) as never) as never
}

function isSignedRight(request: WireRequest): boolean {
  const claim = readClaim(request)
  return claim !== undefined && expectedSignature(request, claim, keys.secretAccessKey) === claim.signature
}

/** node's hash in the shape the library asks for. */
class NodeSha256 {
  readonly #hash
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as string)
  }
  update(data: Uint8Array): void {
    this.#hash.update(data)
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }
  reset(): void {}
}

type Query = ReadonlyArray<readonly [name: string, value: string]>

/** What the library signs, given what was received and, since it wants the query taken apart, the query that was meant. */
async function libraryAuthorization(request: WireRequest, query: Query, session: boolean): Promise<string> {
  const signer = new SignatureV4({ ...scope, credentials: (session ? sessionKeys : keys) as never, sha256: NodeSha256 as never })
  const grouped = Object.groupBy(query, ([name]) => name)
  const signed = await signer.sign(
    new HttpRequest({
      method: request.method,
      path: request.url.split('?')[0] as string,
      query: Object.fromEntries(
        Object.entries(grouped).map(([name, pairs]) => [name, (pairs as Query[number][]).map(([, value]) => value)])
      ),
      headers: Object.fromEntries([...headersOf(request)].map(([name, values]) => [name, values.map((value) => value.trim()).join(',')])),
      body: request.body
    }),
    {
      signingDate: new Date(nowMs),
      unsignableHeaders: new Set(['content-length', 'accept-encoding', 'x-real-ip', 'x-forwarded-for', 'via'])
    }
  )
  return signed.headers.authorization as string
}

const odd = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.string({ unit: 'grapheme', maxLength: 6 }),
  fc.constantFrom('', ' ', 'a b', '+', '%', '%25', '~', "!'()*", '=', '&', 'ü', '日本', '😀', 'a/b', '.', '..', ';', ':@', '-', '_')
)
const name = fc.oneof(odd, fc.constantFrom('a', 'a-', 'A', 'a=', 'b')).filter((text) => text !== '__proto__')
const query = fc.array(fc.tuple(name, odd), { maxLength: 5 })
const rawSegment = fc
  .array(fc.constantFrom(...'abcXYZ019-._~!$\'()*+,;=:@&/%|^[]{}"`<>'), { maxLength: 8 })
  .map((characters) => characters.join(''))
const path = fc
  .array(fc.oneof(odd.map(encodeURIComponent), rawSegment, fc.constantFrom('.', '..', '')), { maxLength: 4 })
  .map((segments) => `/${segments.join('/')}`)
const headerText = fc.array(fc.constantFrom(...'abc  \t,;="1'), { maxLength: 10 }).map((characters) => characters.join(''))
const headerValues = fc.oneof(headerText, fc.array(headerText, { minLength: 1, maxLength: 3 }))
const headers = fc.dictionary(
  fc.constantFrom('X-Custom', 'mcp-session-id', 'Accept', 'content-type', 'x-amz-meta', 'My-Header2', 'user-agent', 'via', 'x-real-ip'),
  headerValues,
  { maxKeys: 5 }
)
const body = fc.oneof(fc.constant(null), fc.string({ unit: 'grapheme', maxLength: 40 }), fc.uint8Array({ maxLength: 40 }))
const request = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH'),
  path,
  query,
  spelling: fc.constantFrom('percent', 'form', 'option'),
  headers,
  body,
  session: fc.boolean()
})

function target(path: string, query: Query, spelling: string): { path: string; query?: Record<string, string[]> } {
  if (spelling === 'option') {
    const grouped: Record<string, string[]> = Object.create(null)
    for (const [name, value] of query) grouped[name] = [...(grouped[name] ?? []), value]
    return { path, query: grouped }
  }
  const text =
    spelling === 'form'
      ? String(new URLSearchParams(query.map(([name, value]): [string, string] => [name, value])))
      : query.map((pair) => pair.map(encodeURIComponent).join('=')).join('&')
  return { path: text === '' ? path : `${path}?${text}` }
}

describe('what is signed is what is received', () => {
  it('agrees with @smithy/signature-v4 and with the documentation on 10,000 generated requests', async () => {
    const plain = signingAgent()
    const session = signingAgent({ credentials: () => sessionKeys })
    await fc.assert(
      fc.asyncProperty(request, async (made) => {
        const { body: answer } = await (made.session ? session : plain).request({
          origin,
          method: made.method,
          ...target(made.path, made.query, made.spelling),
          headers: made.headers,
          body: made.method === 'GET' ? null : (made.body as never)
        })
        await answer.dump()
        expect(isSignedRight(received)).toBe(true)
        expect(headersOf(received).get('authorization')).toEqual([await libraryAuthorization(received, made.query, made.session)])
      }),
      { numRuns: 10_000, seed: 20261120 }
    )
  })

  it('signs a query named __proto__, which the library loses', async () => {
    const { body } = await signingAgent().request({ origin, method: 'GET', path: '/mcp?__proto__=1&b=2' })
    await body.dump()
    expect(isSignedRight(received)).toBe(true)
    expect(headersOf(received).get('authorization')).not.toEqual([
      await libraryAuthorization(
        received,
        [
          ['__proto__', '1'],
          ['b', '2']
        ],
        false
      )
    ])
  })

  it.each([
    ['a percent sign that begins no escape', '/mcp?a=%zz&b=%'],
    ['empty pairs', '/mcp?&&a&&=x&'],
    ['a second question mark', '/mcp?a=b?c=d'],
    ['a name that another one begins with', '/mcp?a-=1&a=2&a%3D=3'],
    ['double slashes and dots', '/mcp//a/./b/../c/']
  ])('signs %s', async (_, path) => {
    const { body } = await signingAgent().request({ origin, method: 'GET', path })
    await body.dump()
    expect(received.url).toBe(path)
    expect(isSignedRight(received)).toBe(true)
  })

  it('signs the host that the caller names, and every header in each form undici takes', async () => {
    const agent = signingAgent()
    const forms: unknown[] = [
      { Host: 'api.example.com', 'X-A': ['1', '2'] },
      ['host', 'api.example.com', 'X-A', '1', 'x-a', '2'],
      new Map([['host', 'api.example.com']]),
      new Headers({ 'X-A': '1' }),
      { 'X-A': null, 'X-B': ['1', null], 'X-C': undefined, 'X-D': 4 }
    ]
    for (const headers of forms) {
      const { body } = await agent.request({ origin, method: 'GET', path: '/mcp', headers: headers as never })
      await body.dump()
      expect(isSignedRight(received)).toBe(true)
    }
  })

  it('replaces what the caller set of the headers that a signature owns', async () => {
    const { body } = await signingAgent().request({
      origin,
      method: 'GET',
      path: '/mcp',
      headers: { Authorization: 'Bearer other', 'X-Amz-Date': '1', 'X-AMZ-Security-Token': 'theirs', 'x-amz-content-sha256': 'no' }
    })
    await body.dump()
    expect(isSignedRight(received)).toBe(true)
    expect(headersOf(received).get('authorization')).toHaveLength(1)
    expect(headersOf(received).get('x-amz-security-token')).toBeUndefined()
    expect(headersOf(received).get('x-amz-date')).toEqual(['20261120T123456Z'])
    expect(headersOf(received).get('x-amz-content-sha256')).toEqual([createHash('sha256').digest('hex')])
  })

  it('leaves headers that proxies change out of the signature, and values that are not ASCII', async () => {
    const { body } = await signingAgent().request({
      origin,
      method: 'GET',
      path: '/mcp',
      headers: {
        'user-agent': 'x',
        'accept-encoding': 'gzip',
        traceparent: '00-1',
        'x-forwarded-for': '::1',
        'x-name': 'J\u00f6rg',
        accept: '*/*'
      }
    })
    await body.dump()
    expect(readClaim(received)?.signedHeaders).toEqual(['accept', 'host', 'x-amz-content-sha256', 'x-amz-date'])
    expect(isSignedRight(received)).toBe(true)
  })
})

import { authFetch, compose, type Interceptor } from '@mcpauth/core'
import * as undici8 from 'undici'
import * as undici7 from 'undici7'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { type CredentialLayer, canary, credentialLayers } from './credential-layers.ts'
import { type Arrival, type RedirectingServers, redirectFrom, startRedirectingServers } from './redirecting-servers.ts'

let servers: RedirectingServers
beforeAll(async () => {
  servers = await startRedirectingServers()
})
afterAll(() => servers.close())
beforeEach(() => {
  servers.arrivals.length = 0
})

const statuses = [301, 302, 303, 307, 308]

/** From where to where. The paths are the same, so that nothing but the named difference keeps the credential back. */
const hops: Array<{ title: string; from: () => string; to: () => string }> = [
  { title: 'another host', from: () => servers.plain, to: () => servers.plain.replace('127.0.0.1', 'localhost') },
  { title: 'another port', from: () => servers.plain, to: () => servers.otherPort },
  { title: 'another scheme, up', from: () => servers.plain, to: () => servers.secure },
  { title: 'another scheme, down', from: () => servers.secure, to: () => servers.plain },
  { title: 'another path of the same origin', from: () => servers.plain, to: () => servers.plain.replace('/mcp', '/mcp-evil') }
]

/** What the caller sends along, in every form that a client takes. */
const headerShapes: Record<string, () => unknown> = {
  'an object': () => ({ Accept: 'application/json', 'X-Own': 'caller' }),
  'a flat array': () => ['Accept', 'application/json', 'X-Own', 'caller'],
  pairs: () => [
    ['Accept', 'application/json'],
    ['X-Own', 'caller']
  ],
  Headers: () => new Headers({ Accept: 'application/json', 'X-Own': 'caller' }),
  'a Map': () =>
    new Map([
      ['Accept', 'application/json'],
      ['X-Own', 'caller']
    ]),
  'no headers': () => undefined
}
const fetchShapes = ['an object', 'pairs', 'Headers', 'no headers']

type Undici = typeof undici8
const majors: Array<[name: string, undici: Undici]> = [
  ['undici 8', undici8],
  ['undici 7', undici7 as unknown as Undici]
]

/** Where the redirect interceptor stands to the layers. In undici's compose the last listed sees the request first. */
const orders: Record<string, (undici: Undici, layers: Interceptor) => Interceptor[]> = {
  'no redirect interceptor': (_, layers) => [layers],
  'redirect interceptor before the layers': ({ interceptors }, layers) => [layers, interceptors.redirect({ maxRedirections: 3 }) as never],
  'redirect interceptor behind the layers': ({ interceptors }, layers) => [interceptors.redirect({ maxRedirections: 3 }) as never, layers]
}

/** Sends one POST and reads the answer; the status it ends with. */
type Send = (url: string, headers: unknown) => Promise<number>

function agentOf(undici: Undici): undici8.Agent {
  const agent = new undici.Agent({ connect: { ca: servers.ca } })
  onTestFinished(() => agent.destroy())
  return agent
}

function requestThrough(undici: Undici, layers: Interceptor, order: keyof typeof orders): Send {
  const dispatcher = agentOf(undici).compose(...(orders[order]!(undici, layers) as never[]))
  return async (url, headers) => {
    const { statusCode, body } = await undici.request(url, { method: 'POST', body: '{}', headers: headers as undici8.Headers, dispatcher })
    await body.dump()
    return statusCode
  }
}

function fetchThrough(undici: Undici, layers: Interceptor, order: keyof typeof orders): Send {
  const dispatcher = agentOf(undici).compose(...(orders[order]!(undici, layers) as never[]))
  return async (url, headers) => {
    const answer = await undici.fetch(url, { method: 'POST', body: '{}', headers: headers as undici8.Headers, dispatcher })
    await answer.text()
    return answer.status
  }
}

function authFetchThrough(undici: Undici, layers: Interceptor, withRedirectInterceptor: boolean): Send {
  const agent = agentOf(undici)
  const dispatcher = withRedirectInterceptor ? agent.compose(undici.interceptors.redirect({ maxRedirections: 3 })) : agent
  const fetch = authFetch(layers, { dispatcher: dispatcher as never })
  onTestFinished(() => fetch[Symbol.asyncDispose]())
  return async (url, headers) => {
    const answer = await fetch(url, { method: 'POST', body: '{}', headers: headers as Headers })
    await answer.text()
    return answer.status
  }
}

/** Everything of a layer's that arrived where its server is not. */
function leaksIn(arrivals: Arrival[], server: string, names: string[]): Arrival[] {
  const bound = new URL(server)
  return arrivals.filter(
    (arrival) => !(arrival.origin === bound.origin && arrival.path === bound.pathname) && carriesCredential(arrival, names)
  )
}

function carriesCredential({ rawHeaders, path, body }: Arrival, names: string[]): boolean {
  const set = rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase())
  return names.some((name) => set.includes(name)) || [...rawHeaders, path, body].some((text) => text.includes(canary))
}

/** Sends every status in every header shape, and returns how it went. */
async function walk(send: Send, names: string[], hop: (typeof hops)[number], shapes: readonly string[]) {
  const from = hop.from()
  const ends: number[] = []
  for (const status of statuses)
    for (const shape of shapes) ends.push(await send(redirectFrom(from, status, hop.to()), headerShapes[shape]!()))
  const atServer = servers.arrivals.filter(({ origin, path }) => origin === new URL(from).origin && path === '/mcp')
  const elsewhere = servers.arrivals.filter((arrival) => !atServer.includes(arrival))
  return {
    ends: new Set(ends.map((status) => (status < 300 ? 'followed' : 'returned'))),
    sends: ends.length,
    withCredential: atServer.filter((arrival) => carriesCredential(arrival, names)).length,
    elsewhere: elsewhere.length,
    leaks: leaksIn(servers.arrivals, from, names)
  }
}

const table = hops.flatMap((hop) => credentialLayers.map((credential) => [credential.title, hop.title, credential, hop] as const))
const composed = ({ make }: CredentialLayer, hop: (typeof hops)[number]) => compose(make(hop.from()))

for (const [name, undici] of majors) {
  // The array of pairs is undici 8's alone.
  const requestShapes = Object.keys(headerShapes).filter((shape) => shape !== 'pairs' || undici === undici8)

  describe.each(Object.keys(orders))(`T6: ${name}, undici.request, %s`, (order) => {
    test.each(table)('%s: nothing reaches %s', async (_title, _hop, credential, hop) => {
      const result = await walk(requestThrough(undici, composed(credential, hop), order), credential.names, hop, requestShapes)
      expect(result.leaks).toEqual([])
      // The credential did go to its server, and the redirect was followed where it can be: otherwise nothing is proven.
      expect(result.withCredential).toBe(result.sends)
      const followed = order === 'redirect interceptor before the layers'
      expect(result.ends).toEqual(new Set([followed ? 'followed' : 'returned']))
      expect(result.elsewhere).toBe(followed ? result.sends : 0)
    })
  })

  describe.each(Object.keys(orders))(`T6: ${name}, undici.fetch, %s`, (order) => {
    test.each(table)('%s: nothing reaches %s', async (_title, _hop, credential, hop) => {
      const result = await walk(fetchThrough(undici, composed(credential, hop), order), credential.names, hop, fetchShapes)
      expect(result.leaks).toEqual([])
      expect(result.withCredential).toBe(result.sends)
      expect(result.elsewhere).toBe(result.sends)
    })
  })

  describe.each([false, true])(`T6: authFetch over ${name}, redirect interceptor in its dispatcher: %s`, (withRedirectInterceptor) => {
    test.each(table)('%s: nothing reaches %s', async (_title, _hop, credential, hop) => {
      const send = authFetchThrough(undici, composed(credential, hop), withRedirectInterceptor)
      const result = await walk(send, credential.names, hop, fetchShapes)
      expect(result.leaks).toEqual([])
      expect(result.withCredential).toBe(result.sends)
      expect(result.elsewhere).toBe(result.sends)
    })
  })

  test(`control: over ${name}, an interceptor without a binding leaks to another port`, async () => {
    const unbound: Interceptor = (dispatch) => (options, handler) =>
      dispatch({ ...options, headers: { authorization: `Bearer ${canary}` } }, handler)
    const result = await walk(fetchThrough(undici, unbound, 'no redirect interceptor'), ['authorization'], hops[1]!, ['no headers'])
    expect(result.leaks).toHaveLength(result.sends)
  })

  test(`control: over ${name}, an API key that is set outside the redirect interceptor, by whatever is not a layer, leaks`, async () => {
    const unaware: Interceptor = (dispatch) => (options, handler) => dispatch({ ...options, headers: { 'x-api-key': canary } }, handler)
    const send = requestThrough(undici, unaware, 'redirect interceptor behind the layers')
    const result = await walk(send, ['x-api-key'], hops[1]!, ['no headers'])
    expect(result.leaks).toHaveLength(result.sends)
  })
}

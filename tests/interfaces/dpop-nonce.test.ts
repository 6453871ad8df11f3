import { type AccessToken, authFetch, type TokenSource } from '@mcpauth/core'
import { withRefreshOn401 } from '@mcpauth/refresh-on-401'
import { expect, test } from 'vitest'
import { httpServer } from './http-server.ts'

/** A throw-away source whose proof is the nonce it has seen last. */
function nonceSource(): TokenSource & { renewals: string[] } {
  const token: AccessToken = { value: 'access-token-1', scheme: 'DPoP', generation: 1, origin: 'stored' }
  let issued: AccessToken | undefined
  let nonce = 'none'
  const renewals: string[] = []
  return {
    renewals,
    schemes: ['dpop'],
    current: () => issued,
    async renew({ cause }) {
      renewals.push(cause)
      issued = token
      return token
    },
    authorize: ({ value }, { method, url }) => ({ authorization: `DPoP ${value}`, dpop: `${method} ${url.pathname} ${nonce}` }),
    observe(_request, { headers }) {
      if (typeof headers['dpop-nonce'] === 'string') nonce = headers['dpop-nonce']
    }
  }
}

test('N38 a DPoP nonce challenge: three sends of one request, and the nonce of a 200 is used by the next', async () => {
  await using server = await httpServer((request, response) => {
    const proof = String(request.headers.dpop)
    if (!request.headers.authorization) response.writeHead(401, { 'www-authenticate': 'DPoP algs="ES256"' })
    else if (proof.endsWith(' none'))
      response.writeHead(401, { 'www-authenticate': 'DPoP error="use_dpop_nonce"', 'dpop-nonce': 'nonce-1' })
    else response.writeHead(200, { 'dpop-nonce': 'nonce-2' })
    response.end('ok')
  })
  const source = nonceSource()
  await using fetch = authFetch(withRefreshOn401(server.url, source))

  const first = await fetch(new URL('/mcp', server.url), { method: 'POST', body: 'the body' })
  expect(first.status).toBe(200)
  expect(server.requests.map(({ headers }) => headers.dpop)).toEqual([undefined, 'POST /mcp none', 'POST /mcp nonce-1'])
  expect(server.requests.map(({ body }) => body)).toEqual(['the body', 'the body', 'the body'])
  expect(source.renewals).toEqual(['token', 'nonce'])

  await fetch(new URL('/mcp', server.url))
  expect(server.requests.at(-1)?.headers.dpop).toBe('GET /mcp nonce-2')
})

test('T19 a server that asks for a new nonce for ever gets no third proof for one token', async () => {
  await using server = await httpServer((request, response) => {
    response.writeHead(401, {
      'www-authenticate': request.headers.authorization ? 'DPoP error="use_dpop_nonce"' : 'DPoP',
      'dpop-nonce': crypto.randomUUID()
    })
    response.end()
  })
  await using fetch = authFetch(withRefreshOn401(server.url, nonceSource()))
  await expect(fetch(server.url, { method: 'POST' })).rejects.toMatchObject({ code: 'MCPAUTH_TOKEN_REFUSED' })
  expect(server.requests.length).toBe(3)
})

import { type AccessToken, authFetch, type Refusal, type TokenSource } from '@mcpauth/core'
import { withRefreshOn401 } from '@mcpauth/refresh-on-401'
import { expect, test } from 'vitest'
import { httpServer } from './http-server.ts'

function scopedSource(): TokenSource & { refusals: Refusal[] } {
  let token: AccessToken = { value: 'narrow-token', scheme: 'Bearer', generation: 1, origin: 'stored', scopes: ['read'] }
  const refusals: Refusal[] = []
  return {
    refusals,
    current: () => token,
    async renew(refusal) {
      refusals.push(refusal)
      token = { value: 'wide-token', scheme: 'Bearer', generation: token.generation + 1, origin: 'granted', scopes: ['read', 'write'] }
      return token
    }
  }
}

test('N28 a 403 insufficient_scope is mended with a wider token; the source sees what was asked for', async () => {
  await using server = await httpServer((request, response) => {
    if (request.headers.authorization === 'Bearer wide-token') response.writeHead(200)
    else response.writeHead(403, { 'www-authenticate': 'Bearer error="insufficient_scope", scope="write"' })
    response.end()
  })
  const source = scopedSource()
  await using fetch = authFetch(withRefreshOn401(server.url, source))
  expect((await fetch(server.url, { method: 'POST', body: '{}' })).status).toBe(200)
  expect(source.refusals).toHaveLength(1)
  expect(source.refusals[0]).toMatchObject({ cause: 'scope', status: 403, challenges: [{ parameters: { scope: 'write' } }] })
})

test('N29 a 403 that stays is asked about once per token, then it is an error', async () => {
  await using server = await httpServer((_request, response) => {
    response.writeHead(403, { 'www-authenticate': 'Bearer error="insufficient_scope", scope="write"' }).end()
  })
  const source = scopedSource()
  // The source gives the same generation back: nothing more can be had.
  source.renew = async (refusal) => {
    source.refusals.push(refusal)
    return refusal.token as AccessToken
  }
  await using fetch = authFetch(withRefreshOn401(server.url, source))
  await expect(fetch(server.url, { method: 'POST' })).rejects.toMatchObject({ code: 'MCPAUTH_TOKEN_REFUSED' })
  expect(server.requests).toHaveLength(2)
})

test('a 403 of another kind is handed to the caller as it is', async () => {
  await using server = await httpServer((_request, response) =>
    response.writeHead(403, { 'www-authenticate': 'Bearer error="access_denied"' }).end('no')
  )
  const source = scopedSource()
  await using fetch = authFetch(withRefreshOn401(server.url, source))
  const response = await fetch(server.url, { method: 'POST' })
  expect([response.status, await response.text()]).toEqual([403, 'no'])
  expect(source.refusals).toEqual([])
})

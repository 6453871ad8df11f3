import { createHash } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { expect, test } from 'vitest'
import { keyOf, type Scene, type Seen, scene } from './small-servers.ts'

async function bound(): Promise<Scene> {
  const world = await scene()
  world.as.tokenFields = { token_type: 'DPoP' }
  return world
}

const proofOf = ({ headers }: Seen): string => headers.dpop as string

test('N38: the token goes with the DPoP scheme and a fresh proof for each request, which holds its hash', async () => {
  await using world = await bound()
  const fetch = world.fetchWith({ dpop: true })
  expect([await world.post(fetch), await world.post(fetch)]).toEqual([200, 200])
  const sent = world.mcp.at('/mcp').filter(({ headers }) => headers.authorization)
  const proofs = sent.map((seen) => decodeJwt(proofOf(seen)))
  expect(new Set(proofs.map(({ jti }) => jti)).size).toBe(2)
  for (const [index, proof] of proofs.entries()) {
    const [scheme, token] = String(sent[index]?.headers.authorization).split(' ') as [string, string]
    expect(scheme).toBe('DPoP')
    expect(proof).toMatchObject({ htm: 'POST', htu: world.mcp.url, ath: createHash('sha256').update(token).digest('base64url') })
  }
})

test('N38: token requests carry a proof of the same key, and a refresh in a new process too', async () => {
  await using world = await bound()
  await world.tokensWith({ dpop: true }).login()
  world.as.live.clear()
  expect(await world.post(world.fetchWith({ dpop: true }))).toBe(200)
  const [code, refresh] = world.as.at('/token') as [Seen, Seen]
  expect(decodeProtectedHeader(proofOf(refresh)).jwk).toEqual(decodeProtectedHeader(proofOf(code)).jwk)
  expect(decodeProtectedHeader(proofOf(code))).toMatchObject({
    alg: 'ES256',
    typ: 'dpop+jwt',
    jwk: expect.not.objectContaining({ d: expect.anything() })
  })
  expect(decodeJwt(proofOf(refresh))).toMatchObject({ htm: 'POST', htu: `${world.as.origin}/token` })
  expect((await world.store.read(keyOf(world.mcp)))?.dpop_key).toMatchObject({ kty: 'EC' })
})

test('N38: the authorization server’s nonce is answered once', async () => {
  await using world = await bound()
  world.as.overrides.set('/token', (seen) =>
    decodeJwt(proofOf(seen)).nonce === 'nonce-1'
      ? undefined
      : { status: 400, headers: { 'dpop-nonce': 'nonce-1' }, body: { error: 'use_dpop_nonce' } }
  )
  await world.tokensWith({ dpop: true }).login()
  expect(world.as.at('/token')).toHaveLength(2)
  world.as.overrides.set('/token', () => ({ status: 400, headers: { 'dpop-nonce': 'never-content' }, body: { error: 'use_dpop_nonce' } }))
  await expect(world.tokensWith({ dpop: true }).login()).rejects.toMatchObject({ error: 'use_dpop_nonce' })
  expect(world.as.at('/token')).toHaveLength(4)
})

test('N38: a demand for a nonce that brings no new one is not answered', async () => {
  await using world = await bound()
  world.as.overrides.set('/token', () => ({ status: 400, body: { error: 'use_dpop_nonce' } }))
  await expect(world.tokensWith({ dpop: true }).login()).rejects.toMatchObject({ error: 'use_dpop_nonce' })
  expect(world.as.at('/token')).toHaveLength(1)
})

test('N38: the MCP server’s nonce is answered with the same token, without a refresh', async () => {
  await using world = await bound()
  const tokens = world.tokensWith({ dpop: true })
  await tokens.login()
  world.mcp.overrides.set('/mcp', (seen) =>
    seen.headers.dpop && decodeJwt(proofOf(seen)).nonce === 'nonce-2'
      ? undefined
      : { status: 401, headers: { 'dpop-nonce': 'nonce-2', 'www-authenticate': 'DPoP error="use_dpop_nonce"' } }
  )
  expect(await world.post(world.fetchWith(tokens))).toBe(200)
  expect(world.as.refreshes).toBe(0)
})

test('N38: a step-up keeps the key', async () => {
  await using world = await bound()
  const tokens = world.tokensWith({ dpop: true })
  await tokens.login()
  const before = (await world.store.read(keyOf(world.mcp)))?.dpop_key
  let challenged = false
  world.mcp.overrides.set('/mcp', () => {
    if (challenged) return undefined
    challenged = true
    return { status: 403, headers: { 'www-authenticate': 'DPoP error="insufficient_scope", scope="write"' } }
  })
  expect(await world.post(world.fetchWith(tokens))).toBe(200)
  expect((await world.store.read(keyOf(world.mcp)))?.dpop_key).toEqual(before)
})

test('a server that binds nothing is used with a plain bearer token', async () => {
  await using world = await scene()
  expect(await world.post(world.fetchWith({ dpop: true }))).toBe(200)
  expect(world.mcp.at('/mcp').at(-1)?.headers).not.toHaveProperty('dpop')
})

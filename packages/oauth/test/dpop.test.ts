import { inspect } from 'node:util'
import { secrets } from '@mcpauth/core'
import { calculateJwkThumbprint, decodeJwt, EmbeddedJWK, type JWTPayload, jwtVerify } from 'jose'
import { expect, test } from 'vitest'
import { type DpopJwk, dpopKey, dpopNonces, generateDpopJwk } from '../src/dpop.ts'

const url = new URL('https://mcp.example.com/mcp/%7Ea?session=1#part')

function thrown(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}

async function verified(proof: string): Promise<JWTPayload> {
  const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
    typ: 'dpop+jwt',
    algorithms: ['ES256'],
    requiredClaims: ['jti', 'iat']
  })
  expect(Object.keys(protectedHeader.jwk ?? {}).sort()).toEqual(['crv', 'kty', 'x', 'y'])
  return payload
}

test('N38: a proof verifies with jose, names method and URL without query and fragment, and is fresh each time', async () => {
  const key = dpopKey(generateDpopJwk(), { now: () => Date.now() - 2_500 })
  const first = await verified(key.proof({ method: 'POST', url }))
  const second = await verified(key.proof({ method: 'POST', url }))
  expect(first).toMatchObject({ htm: 'POST', htu: 'https://mcp.example.com/mcp/%7Ea' })
  expect(first.iat).toBeLessThan(Date.now() / 1000)
  expect(Object.keys(first).sort()).toEqual(['htm', 'htu', 'iat', 'jti'])
  expect(first.jti).not.toBe(second.jti)
})

test('N38: the hash of the access token (RFC 9449 §4.2, ath) and the nonce are in it when given', async () => {
  const key = dpopKey(generateDpopJwk())
  // The access token and hash of RFC 9449 §7.1.
  const rfc = await verified(key.proof({ method: 'GET', url, accessToken: 'Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU', nonce: 'n-1' }))
  expect(rfc).toMatchObject({ ath: 'fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo', nonce: 'n-1' })
  const other = decodeJwt(key.proof({ method: 'GET', url, accessToken: 'another' }))
  expect(other.ath).not.toBe(rfc.ath)
})

test('N38: the thumbprint is that of RFC 7638', async () => {
  const jwk = generateDpopJwk()
  expect(dpopKey(jwk).thumbprint).toBe(await calculateJwkThumbprint(jwk))
})

test('N38: a key survives its record', () => {
  const jwk = generateDpopJwk()
  const again = JSON.parse(JSON.stringify(dpopKey(jwk).jwk)) as DpopJwk
  expect(dpopKey(again).thumbprint).toBe(dpopKey(jwk).thumbprint)
})

test('N38: what is not a P-256 private key is refused, symmetric ones first of all, without quoting it', () => {
  const jwk = generateDpopJwk()
  const bad: unknown[] = [
    {},
    { kty: 'oct', k: 'c2VjcmV0LXNlY3JldC1zZWNyZXQ' },
    { ...jwk, d: undefined },
    { ...jwk, crv: 'P-384' },
    { ...jwk, x: 'AAAA' },
    { ...jwk, x: generateDpopJwk().x },
    { ...jwk, d: 'c2VjcmV0LXNlY3JldC1zZWNyZXQ' }
  ]
  for (const key of bad) {
    const error = thrown(() => dpopKey(key as DpopJwk))
    expect(error, JSON.stringify(key)).toMatchObject({ code: 'MCPAUTH_KEY_INVALID' })
    expect(inspect(error, { showHidden: true })).not.toContain('c2VjcmV0')
  }
})

test('N38: nonces are kept per origin, the last one counts, and only a new one is worth another try', () => {
  const nonces = dpopNonces()
  expect(nonces.get(url)).toBeUndefined()
  expect(nonces.observe(url, { 'dpop-nonce': 'one' })).toBe(true)
  expect(nonces.observe(new URL('/elsewhere', url), { 'dpop-nonce': 'one' })).toBe(false)
  expect(nonces.observe(new URL('https://as.example.com/token'), new Headers({ 'DPoP-Nonce': 'other' }))).toBe(true)
  expect(nonces.get(url)).toBe('one')
  expect(nonces.observe(url, { 'dpop-nonce': 'two' })).toBe(true)
  expect(nonces.get(url)).toBe('two')
  expect(nonces.observe(url, {})).toBe(false)
  expect(nonces.get(url)).toBe('two')
})

test('N38: a header that is no nonce is not kept', () => {
  const nonces = dpopNonces()
  for (const value of ['', 'with space', 'quo"te', 'a'.repeat(2_000), ['one', 'two'], 'caf\u00e9']) {
    expect(nonces.observe(url, { 'dpop-nonce': value })).toBe(false)
  }
  expect(nonces.get(url)).toBeUndefined()
})

test('N38: a server that redirects from origin to origin cannot fill the memory with nonces', () => {
  const nonces = dpopNonces()
  for (let i = 0; i < 1_000; i++) nonces.observe(new URL(`https://h${i}.example/`), { 'dpop-nonce': 'x' })
  expect(nonces.get(new URL('https://h0.example/'))).toBeUndefined()
  expect(nonces.get(new URL('https://h999.example/'))).toBe('x')
})

test('N38: every token has its own hash, also when tokens take turns', () => {
  const key = dpopKey(generateDpopJwk())
  const hashes = ['one', 'two', 'one'].map((accessToken) => decodeJwt(key.proof({ method: 'GET', url, accessToken })).ath)
  expect(hashes[0]).toBe(hashes[2])
  expect(hashes[0]).not.toBe(hashes[1])
})

test('T13: the private part of a key is a secret from then on, and never in a proof', () => {
  const jwk = generateDpopJwk()
  const proof = dpopKey(jwk).proof({ method: 'GET', url })
  expect(Buffer.from(proof.split('.')[0] as string, 'base64url').toString()).not.toContain(jwk.d)
  dpopKey(jwk)
  expect(secrets.redact(jwk.d)).toBe('[REDACTED:DPoP key]')
})

test('N38: 64 origins have a nonce; the one that gave none for longest is forgotten first', () => {
  const nonces = dpopNonces()
  const at = (i: number) => new URL(`https://h${i}.example/`)
  for (let i = 0; i < 64; i++) nonces.observe(at(i), { 'dpop-nonce': 'x' })
  expect(nonces.get(at(0))).toBe('x')
  nonces.observe(at(0), { 'dpop-nonce': 'y' })
  nonces.observe(at(64), { 'dpop-nonce': 'x' })
  expect([0, 1, 2, 64].map((i) => nonces.get(at(i)))).toEqual(['y', undefined, 'x', 'x'])
})

test('N38: a nonce is printable ASCII without quote and backslash, 1,024 characters at most', () => {
  const nonces = dpopNonces()
  const taken = (value: string) => nonces.observe(url, { 'dpop-nonce': value })
  expect(['!', '~', '#[]', 'a'.repeat(1_024)].map(taken)).toEqual([true, true, true, true])
  expect(['a'.repeat(1_025), 'a\\b', 'a"', '"a', ' a', 'a ', 'a\u007f'].map(taken)).toEqual(Array(7).fill(false))
})

import { decodeJwt, decodeProtectedHeader } from 'jose'
import { expect, test } from 'vitest'
import { dpopNonces, generateDpopJwk } from '../src/dpop.ts'
import { dpopJwkOf, dpopProofs } from '../src/dpop-proofs.ts'

const url = new URL('https://as.example.com/token')

test('N38: each key signs its own proofs, also when they take turns', () => {
  const proofs = dpopProofs(dpopNonces(), () => 1_700_000_000_999)
  const [one, other] = [generateDpopJwk(), generateDpopJwk()]
  for (const jwk of [one, other, one]) {
    const proof = proofs(jwk).proof({ method: 'POST', url })
    expect(decodeProtectedHeader(proof).jwk).toMatchObject({ x: jwk.x, y: jwk.y })
    expect(decodeJwt(proof)).toEqual({ htm: 'POST', htu: url.href, iat: 1_700_000_000, jti: expect.any(String) })
  }
})

test('N38: the nonce of an answer is in the next proof for that origin, and in no other', () => {
  const maker = dpopProofs(dpopNonces(), Date.now)(generateDpopJwk())
  expect(maker.observe(url, new Headers({ 'dpop-nonce': 'n-1' }))).toBe(true)
  expect(maker.observe(url, new Headers({ 'dpop-nonce': 'n-1' }))).toBe(false)
  expect(decodeJwt(maker.proof({ method: 'POST', url, accessToken: 'a' }))).toMatchObject({ nonce: 'n-1', ath: expect.any(String) })
  expect(decodeJwt(maker.proof({ method: 'POST', url: new URL('https://mcp.example.com/') }))).not.toHaveProperty('nonce')
})

test('the key of a record is the one that its tokens are bound to', () => {
  const dpop_key = generateDpopJwk()
  expect(dpopJwkOf({ dpop_key } as never)).toBe(dpop_key)
  expect(dpopJwkOf({} as never)).toBeUndefined()
  expect(dpopJwkOf(undefined)).toBeUndefined()
})

import { createHash } from 'node:crypto'
import type { AccessToken, TokenRecord } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { expect, test } from 'vitest'
import { dpopNonces, generateDpopJwk } from '../src/dpop.ts'
import { checkOptions } from '../src/options.ts'
import { tokenHeaders } from '../src/token-headers.ts'

const url = new URL('https://mcp.example.com/mcp')
const request = { method: 'POST', url }

function world(dpop: boolean) {
  const nonces = dpopNonces()
  return { ...tokenHeaders(checkOptions(url.href, { store: memoryStore(), dpop }), nonces), nonces }
}

const token = (value: string, scheme: AccessToken['scheme']): AccessToken => ({ value, scheme, generation: 1, origin: 'stored' })

test('N38: challenges of the DPoP scheme are served where tokens are to be bound', () => {
  expect(world(true).schemes).toEqual(['dpop', 'bearer'])
  expect(world(false).schemes).toEqual(['bearer'])
})

test('N38: each bound token goes with a proof of its own key, which holds its hash, also when tokens take turns', () => {
  const { bind, authorize } = world(true)
  const bound = ['one', 'two'].map((value) => ({ token: token(value, 'DPoP'), key: generateDpopJwk() }))
  for (const { token, key } of bound) bind(token, { dpop_key: key })
  for (const { token, key } of [...bound, ...bound]) {
    const { authorization, dpop, ...rest } = authorize(token, request)
    expect({ authorization, rest }).toEqual({ authorization: `DPoP ${token.value}`, rest: {} })
    expect(decodeProtectedHeader(dpop as string).jwk).toMatchObject({ x: key.x, y: key.y })
    expect(decodeJwt(dpop as string)).toMatchObject({
      htm: 'POST',
      htu: url.href,
      ath: createHash('sha256').update(token.value).digest('base64url')
    })
  }
})

test.each<[string, AccessToken['scheme'], TokenRecord]>([
  ['that is a bearer token, whatever key was offered for it,', 'Bearer', { dpop_key: generateDpopJwk() }],
  ['whose record has no key', 'DPoP', {}]
])('N38: a token %s goes without a proof', (_name, scheme, record) => {
  const { bind, authorize } = world(true)
  const unbound = token('the-token', scheme)
  bind(unbound, record)
  expect(authorize(unbound, request)).toEqual({ authorization: 'Bearer the-token' })
})

test('N38: the nonce of an answer is in the next proof; where no token is bound none is kept', () => {
  const { bind, authorize, observe } = world(true)
  const bound = token('the-token', 'DPoP')
  bind(bound, { dpop_key: generateDpopJwk() })
  observe({ url }, { status: 200, headers: { 'dpop-nonce': 'n-1' } })
  expect(decodeJwt(authorize(bound, request).dpop as string)).toMatchObject({ nonce: 'n-1' })
  const plain = world(false)
  plain.observe({ url }, { status: 200, headers: { 'dpop-nonce': 'n-1' } })
  expect(plain.nonces.get(url)).toBeUndefined()
})

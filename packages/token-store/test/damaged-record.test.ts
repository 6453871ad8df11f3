import { canonicalServerUrl, type StoreKey, type TokenRecord } from '@mcpauth/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseRecord, serializeRecord } from '../src/token-record.ts'

const key: StoreKey = { kind: 'server', url: 'https://mcp.example.com/mcp' }
const full: TokenRecord = {
  access_token: 'access-token-1234',
  refresh_token: 'refresh-token-1234',
  expires_at_unix: 1_700_000_000,
  version: 1,
  generation: 7,
  server_url: 'https://mcp.example.com/mcp',
  issuer: 'https://as.example.com',
  token_endpoint: 'https://as.example.com/token',
  client: { client_id: 'abc', token_endpoint_auth_method: 'none' }
}
const bytes = Buffer.from(serializeRecord(full, key))
const parse = (text: string): ReturnType<typeof parseRecord> => parseRecord(Buffer.from(text), key)

test('T12: with ten thousand bits flipped, it never throws and never becomes the record of another server', () => {
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(7), (at, bit) => {
      const flipped = Buffer.from(bytes)
      flipped[at] = (flipped[at] as number) ^ (1 << bit)
      const parsed = parseRecord(flipped, key)
      const named = parsed.outcome === 'record' ? parsed.record.server_url : undefined
      if (named !== undefined) expect(canonicalServerUrl(named)).toBe(key.url)
    }),
    { numRuns: 10_000 }
  )
})

test('T12: any JSON at all is a record, damaged or newer, and Object.prototype stays clean', () => {
  const before = Object.getOwnPropertyNames(Object.prototype)
  fc.assert(
    fc.property(fc.json(), (text) => {
      parse(text)
    })
  )
  expect(parse('{"access_token":"a","__proto__":{"access_token":"evil"}}').outcome).toBe('damaged')
  expect(parse('{"client":{"client_id":"a","__proto__":{"x":1}}}').outcome).toBe('damaged')
  expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before)
  expect(({} as Record<string, unknown>).access_token).toBeUndefined()
})

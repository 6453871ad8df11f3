import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { canonicalServerUrl, type StoreKey, secrets, type TokenRecord } from '@mcpauth/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseRecord, serializeRecord, tombstoneOf } from '../src/token-record.ts'

const key: StoreKey = { kind: 'server', url: 'https://mcp.example.com/mcp' }
const full: TokenRecord = {
  access_token: 'access-token-1234',
  refresh_token: 'refresh-token-1234',
  token_type: 'Bearer',
  scope: 'mcp:read',
  expires_at_unix: 1_700_000_000,
  last_refreshed: '2026-05-15T00:00:00Z',
  version: 1,
  generation: 7,
  server_url: 'https://mcp.example.com/mcp',
  resource: 'https://mcp.example.com/mcp',
  issuer: 'https://as.example.com',
  token_endpoint: 'https://as.example.com/token',
  requested_scope: 'mcp:read',
  lifetime: 3600,
  client: { client_id: 'abc', token_endpoint_auth_method: 'none', registration_client_uri: 'https://as.example.com/reg/1' }
}

const parse = (text: string, at: StoreKey = key): ReturnType<typeof parseRecord> => parseRecord(Buffer.from(text), at)
const parseObject = (object: object, at: StoreKey = key): ReturnType<typeof parseRecord> => parse(JSON.stringify(object), at)

test('a record comes back as it was written', () => {
  expect(parseRecord(serializeRecord(full, key), key)).toEqual({ outcome: 'record', record: full })
})

test('fields that this version does not know survive, also inside the client', () => {
  const record = { ...full, x_vendor: { deep: [1, { two: 'three' }] }, client: { client_id: 'abc', software_id: 'x', other: [1] } }
  const parsed = parseRecord(serializeRecord(record, key), key)
  expect(parsed).toEqual({ outcome: 'record', record })
})

test('the first six fields alone are a valid record, and writing binds it to its server', () => {
  const { access_token, refresh_token, token_type, scope, expires_at_unix, last_refreshed } = full
  const six = { access_token, refresh_token, token_type, scope, expires_at_unix, last_refreshed } as TokenRecord
  expect(parseObject(six)).toEqual({ outcome: 'record', record: six })
  expect(parseRecord(serializeRecord(six, key), key)).toEqual({
    outcome: 'record',
    record: { ...six, version: 1, server_url: 'https://mcp.example.com/mcp' }
  })
})

test('null stands for nothing, as other tools write it', () => {
  expect(parseObject({ access_token: 'a', refresh_token: null })).toEqual({ outcome: 'record', record: { access_token: 'a' } })
})

test('a record of a newer version is neither used nor called damaged', () => {
  expect(parseObject({ version: 2, access_token: { not: 'known here' } })).toEqual({ outcome: 'newer', version: 2 })
})

test.each([
  ['another server', { access_token: 'a', server_url: 'https://other.example/mcp' }],
  ['another profile', { access_token: 'a', profile: 'work' }],
  ['a token endpoint in clear text', { access_token: 'a', token_endpoint: 'http://as.example.com/token' }],
  ['a token endpoint that is a script', { access_token: 'a', token_endpoint: 'javascript:alert(1)' }],
  ['an empty token', { access_token: '' }],
  ['a token with a line feed', { access_token: 'a\nb' }],
  ['a token outside ASCII', { refresh_token: 'a€' }],
  ['a token that is an object', { access_token: { toString: 'x' } }],
  ['an expiry that is text', { expires_at_unix: '2099' }],
  ['a negative expiry', { expires_at_unix: -1 }],
  ['an expiry beyond all dates', { expires_at_unix: 1e300 }],
  ['a generation that is not whole', { generation: 1.5 }],
  ['a client without an id', { client: { client_secret: 'x' } }],
  ['a client that is a list', { client: ['abc'] }]
])('a record with %s is not trusted in any part', (_, object) => {
  expect(parseObject(object)).toMatchObject({ outcome: 'damaged' })
})

test('a registration and an identity are used only for their issuer and client', () => {
  const at: StoreKey = { kind: 'client', issuer: 'https://as.example.com' }
  expect(parseObject({ issuer: 'https://as.example.com', client: { client_id: 'a' } }, at)).toMatchObject({ outcome: 'record' })
  expect(parseObject({ issuer: 'https://as.example.com/', client: { client_id: 'a' } }, at)).toMatchObject({ outcome: 'damaged' })
  const identity: StoreKey = { kind: 'identity', issuer: 'https://idp.example.com', clientId: 'cli' }
  expect(parseObject({ client: { client_id: 'other' }, access_token: 'a' }, identity)).toMatchObject({ outcome: 'damaged' })
  expect(parseRecord(serializeRecord({ access_token: 'a' }, identity), identity)).toMatchObject({
    record: { issuer: 'https://idp.example.com', client: { client_id: 'cli' } }
  })
})

test('what could not be read back is not written, and the error names the field and not the value', () => {
  expect(() => serializeRecord({ access_token: 'secret\nvalue' }, key)).toThrow(
    expect.objectContaining({
      code: 'MCPAUTH_INVALID_OPTION',
      message: expect.stringMatching(/access_token(?!.*secret)/)
    })
  )
})

test('every secret that is read is known to the redactor at once', () => {
  parseObject({
    access_token: 'canary-access-1',
    refresh_token: 'canary-refresh-1',
    client: { client_id: 'x', client_secret: 'canary-client-1' }
  })
  expect(secrets.redact('canary-access-1 canary-refresh-1 canary-client-1')).not.toContain('canary')
})

test('a tombstone keeps the generation and what the record is bound to, and no secret', () => {
  const tombstone = tombstoneOf(full)
  expect(tombstone).toEqual({ version: 1, generation: 7, server_url: full.server_url, issuer: full.issuer })
  expect(tombstoneOf({ access_token: 'a' }).generation).toBe(1)
})

describe('T12: a damaged cache', () => {
  const bytes = Buffer.from(serializeRecord(full, key))

  test('T12: truncated at every byte, it is damaged and never throws', () => {
    // The last byte is the line feed, without which it is whole.
    for (let length = 0; length < bytes.length - 1; length += 1) {
      expect(parseRecord(bytes.subarray(0, length), key).outcome, `${length} bytes`).toBe('damaged')
    }
  })

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

  test('T12: deep and huge documents are refused without exhausting stack or memory', () => {
    expect(parse(`{"x":${'['.repeat(200_000)}${']'.repeat(200_000)}}`).outcome).toBe('damaged')
    expect(parse(`{"x":"${'a'.repeat(1024 * 1024)}"}`)).toEqual({ outcome: 'damaged', reason: 'is too large' })
  })

  const vectors = resolve(process.env.MCPAUTH_VECTORS ?? '../shared/vectors')
  const corpus = join(vectors, 'hostile/cache-files.json')
  const harmless = new Map([
    ['bom', { access_token: 'a' }],
    ['dup', { access_token: 'b' }]
  ])
  describe.skipIf(!existsSync(corpus))('the corpus of hostile cache files', () => {
    const files = existsSync(corpus) ? (JSON.parse(readFileSync(corpus, 'utf8')) as { name: string; bytes_b64: string }[]) : []
    test.each(files)('T12: $name', ({ name, bytes_b64 }) => {
      const parsed = parseRecord(Buffer.from(bytes_b64, 'base64'), key)
      if (name === 'future-version') expect(parsed.outcome).toBe('newer')
      else if (harmless.has(name)) expect(parsed).toEqual({ outcome: 'record', record: harmless.get(name) })
      else expect(parsed.outcome).toBe('damaged')
    })
  })
})

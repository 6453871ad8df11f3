import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type StoreKey, secrets, type TokenRecord } from '@mcpauth/core'
import { describe, expect, test } from 'vitest'
import { holdsSomething, maxRecordBytes, parseBoundRecord, parseRecord, serializeRecord, tombstoneOf } from '../src/token-record.ts'

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

test.each<[string, unknown[]]>([
  ['access_token', ['', 'a\u007f', 7]],
  ['refresh_token', ['', '\u001f', []]],
  ['token_type', [7, {}]],
  ['scope', [7, ['a']]],
  ['expires_at_unix', ['1', -1, 8.64e12 + 1]],
  ['last_refreshed', [7]],
  ['version', ['1', '2', -1, 0.5]],
  ['generation', ['1', -1, 0.5, 2 ** 53]],
  ['server_url', [7, 'no url', '/mcp', [key.url]]],
  ['profile', [7]],
  ['resource', [7]],
  ['issuer', [7]],
  ['token_endpoint', [7, 'no url', 'ftp://as.example.com', 'http://as.example.com', 'ftp://127.0.0.1/', ['https://as.example.com']]],
  ['requested_scope', [7]],
  ['lifetime', ['1', -1]],
  ['client', [7, 'abc', [], {}, { client_id: null }]]
])('a record whose %s holds something else is damaged, and that field is named', (field, values) => {
  for (const value of values) {
    const damaged = { outcome: 'damaged', reason: expect.stringMatching(new RegExp(`^${field} (is|has) `)) }
    expect(parseObject({ ...full, [field]: value }), JSON.stringify(value)).toEqual(damaged)
  }
})

test.each<[string, unknown[]]>([
  ['client_id', [7]],
  ['client_secret', [7]],
  ['client_secret_expires_at', ['0', -1]],
  ['token_endpoint_auth_method', [7]],
  ['redirect_uris', ['x', [7], ['x', 7], { 0: 'x' }]],
  ['issuer', [7]]
])('a client whose %s holds something else is damaged', (field, values) => {
  for (const value of values) {
    const damaged = { outcome: 'damaged', reason: expect.stringMatching(new RegExp(`^client ${field} is `)) }
    expect(parseObject({ client: { client_id: 'abc', [field]: value } })).toEqual(damaged)
  }
})

test('what is just within the bounds is a record', () => {
  for (const record of [
    { access_token: ' ~' },
    { expires_at_unix: 0, lifetime: 0, generation: 0, version: 0 },
    { expires_at_unix: 8.64e12, generation: 2 ** 53 - 1 },
    { token_endpoint: 'http://127.0.0.1:8080/token' },
    { client: { client_id: 'abc', redirect_uris: ['http://127.0.0.1/'], client_secret_expires_at: 0 } }
  ])
    expect(parseObject(record)).toEqual({ outcome: 'record', record })
  expect(parseObject({ client: { client_id: 'abc', client_secret: null } })).toMatchObject({ outcome: 'record' })
})

test.each<[string, Uint8Array | string, StoreKey?]>([
  ['is not JSON in UTF-8', '{'],
  ['is not JSON in UTF-8', Buffer.from('7b2278223a22ff227d', 'hex')],
  ['is not a JSON object', '[]'],
  ['is not a JSON object', 'null'],
  ['is nested too deeply', `{"x":${'['.repeat(32)}${']'.repeat(32)}}`],
  ['holds a __proto__ field', '{"x":{"__proto__":1}}'],
  ['client is not an object', '{"client":"abc"}'],
  ['client has no client_id', '{"client":{}}'],
  ['server_url names another server', '{"server_url":"https://other.example"}'],
  ['profile names another profile', '{"profile":"work"}'],
  ['issuer names another issuer', '{"issuer":"https://a.example"}', { kind: 'client', issuer: 'https://b.example' }],
  ['issuer names another issuer', '{"issuer":"https://a.example"}', { kind: 'identity', issuer: 'https://b.example', clientId: 'c' }],
  ['client names another client', '{"client":{"client_id":"d"}}', { kind: 'identity', issuer: 'https://b.example', clientId: 'c' }]
])('T12: a record that %s is damaged, and says so without quoting it', (reason, bytes, at = key) => {
  expect(parseRecord(Buffer.from(bytes as string), at)).toEqual({ outcome: 'damaged', reason })
})

test('a record with a profile is used only for that profile, and one that names none for any', () => {
  const work: StoreKey = { ...key, profile: 'work' }
  const outcomes = (record: object): string[] =>
    [key, work, { ...key, profile: 'home' }, { ...key, profile: '' }].map((at) => parseObject(record, at).outcome)
  expect(outcomes({ profile: 'work' })).toEqual(['damaged', 'record', 'damaged', 'damaged'])
  expect(outcomes({ profile: '' })).toEqual(['record', 'damaged', 'damaged', 'record'])
  expect(outcomes({})).toEqual(['record', 'record', 'record', 'record'])
  expect(parseRecord(serializeRecord({ access_token: 'a' }, work), work)).toMatchObject({ record: { profile: 'work' } })
  expect(parseObject({ server_url: 'https://other.example' }, { kind: 'login', url: key.url })).toMatchObject({ outcome: 'damaged' })
})

test('a registration and an identity are used only for their issuer and client', () => {
  const at: StoreKey = { kind: 'client', issuer: 'https://as.example.com' }
  expect(parseObject({ issuer: 'https://as.example.com', client: { client_id: 'a' } }, at)).toMatchObject({ outcome: 'record' })
  expect(parseObject({ issuer: 'https://as.example.com/', client: { client_id: 'a' } }, at)).toMatchObject({ outcome: 'damaged' })
  const identity: StoreKey = { kind: 'identity', issuer: 'https://idp.example.com', clientId: 'cli' }
  expect(parseObject({ client: { client_id: 'other' }, access_token: 'a' }, identity)).toMatchObject({ outcome: 'damaged' })
  expect(parseObject({ client: { client_id: 'cli' }, issuer: 'https://idp.example.com/' }, identity)).toMatchObject({ outcome: 'damaged' })
  for (const record of [{ issuer: 'https://idp.example.com' }, { client: { client_id: 'cli' } }])
    expect(parseObject(record, identity)).toEqual({ outcome: 'record', record })
  expect(parseObject({ access_token: 'a' }, at)).toMatchObject({ outcome: 'record' })
  expect(parseRecord(serializeRecord({}, at), at)).toEqual({ outcome: 'record', record: { version: 1, issuer: 'https://as.example.com' } })
  const login: StoreKey = { kind: 'login', url: 'https://mcp.example.com/' }
  expect(parseRecord(serializeRecord({}, login), login)).toEqual({
    outcome: 'record',
    record: { version: 1, server_url: 'https://mcp.example.com' }
  })
  expect(parseRecord(serializeRecord({ client: { client_id: 'a' } }, at), at)).toEqual({
    outcome: 'record',
    record: { version: 1, issuer: 'https://as.example.com', client: { client_id: 'a' } }
  })
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

test('what is not for its key, too large or no JSON is not written', () => {
  const circular: TokenRecord = { access_token: 'a' }
  ;(circular as Record<string, unknown>).canary_field = circular
  for (const [record, message] of [
    [{ ...full, server_url: 'https://other.example/mcp' }, 'server_url names another server'],
    [{ ...full, scope: 'x'.repeat(maxRecordBytes) }, 'larger'],
    [circular, 'JSON']
  ] as const) {
    const refused = expect.objectContaining({
      code: 'MCPAUTH_INVALID_OPTION',
      message: expect.stringMatching(/^option record: (?!.*canary)/)
    })
    expect(() => serializeRecord(record, key)).toThrow(refused)
    expect(() => serializeRecord(record, key)).toThrow(message)
  }
  const room = maxRecordBytes - serializeRecord({ ...full, scope: '' }, key).byteLength
  expect(serializeRecord({ ...full, scope: 'x'.repeat(room) }, key).byteLength).toBe(maxRecordBytes)
})

test('what a record says of its version and its server stays when it is written', () => {
  const written = serializeRecord({ version: 0, server_url: 'https://MCP.example.com/mcp' }, key)
  expect(parseRecord(written, key)).toEqual({ outcome: 'record', record: { version: 0, server_url: 'https://MCP.example.com/mcp' } })
})

test.each<[boolean, TokenRecord, StoreKey['kind']]>([
  [true, { access_token: 'a' }, 'server'],
  [true, { refresh_token: 'a' }, 'identity'],
  [false, { generation: 2, client: { client_id: 'a' } }, 'server'],
  [true, { client: { client_id: 'a' } }, 'client'],
  [false, { access_token: 'a' }, 'client']
])('there is something to use (%s) in %o of a %s', (holds, record, kind) => {
  expect(holdsSomething(record, kind)).toBe(holds)
})

test.each<[string, object, StoreKey['kind'], StoreKey | undefined]>([
  ['a server', { server_url: 'https://MCP.example.com' }, 'server', { kind: 'server', url: 'https://mcp.example.com' }],
  ['a login', { server_url: key.url }, 'login', { kind: 'login', url: key.url }],
  ['a profile', { server_url: key.url, profile: 'work' }, 'server', { ...key, profile: 'work' }],
  ['an issuer', { issuer: 'https://as.example.com' }, 'client', { kind: 'client', issuer: 'https://as.example.com' }],
  [
    'an identity',
    { issuer: 'https://as.example.com', client: { client_id: 'cli' } },
    'identity',
    { kind: 'identity', issuer: 'https://as.example.com', clientId: 'cli' }
  ],
  ['no server', { access_token: 'a' }, 'server', undefined],
  ['no issuer', { client: { client_id: 'cli' } }, 'client', undefined],
  ['no issuer, but a client', { client: { client_id: 'cli' } }, 'identity', undefined],
  ['no client', { issuer: 'https://as.example.com' }, 'identity', undefined],
  ['a damaged field', { server_url: key.url, scope: 7 }, 'server', undefined],
  ['a newer version', { server_url: key.url, version: 2 }, 'server', undefined]
])('a record that names %s is found by that', (_what, record, kind, found) => {
  expect(parseBoundRecord(Buffer.from(JSON.stringify(record)), kind)).toEqual(found && { key: found, record })
  expect(parseBoundRecord(Buffer.from('{'), kind)).toBeUndefined()
})

test('every secret that is read is known to the redactor at once', () => {
  parseObject({
    access_token: 'canary-access-1',
    refresh_token: 'canary-refresh-1',
    id_token: 'canary-identity-1',
    dpop_key: { kty: 'EC', d: 'canary-private-1' },
    client: { client_id: 'x', client_secret: 'canary-client-1', registration_access_token: 'canary-registration-1' }
  })
  parseBoundRecord(Buffer.from('{"access_token":"canary-access-2"}'), 'server')
  serializeRecord({ access_token: 'canary-access-3' }, key)
  const labels = [
    'access_token',
    'refresh_token',
    'id_token',
    'dpop_key',
    'client_secret',
    'registration_access_token',
    'access_token',
    'access_token'
  ]
  const canaries = 'access-1 refresh-1 identity-1 private-1 client-1 registration-1 access-2 access-3'
    .split(' ')
    .map((name) => `canary-${name}`)
  expect(secrets.redact(canaries.join())).toBe(labels.map((label) => `[REDACTED:${label}]`).join())
})

test('the tokens of one server are let go for its own newer ones, never for those of another or of nobody', () => {
  const other: StoreKey = { kind: 'server', url: 'https://rotating.example.com/' }
  const bytesOf = (record: object): Buffer => Buffer.from(JSON.stringify(record))
  const known = (value: string): boolean => secrets.redact(value) !== value
  parseObject({ access_token: 'canary-of-a-quiet-server' })
  // A record that does not say whose it is has nobody who could replace its tokens.
  parseBoundRecord(bytesOf({ access_token: 'canary-of-nobody' }), 'server')
  const rotated = Array.from({ length: 20 }, (_, round) => `canary-rotated-${String(round).padStart(2, '0')}`)
  for (const access_token of rotated) {
    parseObject({ access_token }, other)
    parseBoundRecord(bytesOf({ access_token: `${access_token}-of-nobody` }), 'server')
  }
  expect(['canary-of-a-quiet-server', 'canary-of-nobody', rotated[19] as string].map(known)).toEqual([true, true, true])
  expect(known(rotated[0] as string)).toBe(false)
})

test('a tombstone keeps the generation and what the record is bound to, and no secret', () => {
  const tombstone = tombstoneOf(full)
  expect(tombstone).toEqual({ version: 1, generation: 7, server_url: full.server_url, issuer: full.issuer })
  expect(Object.keys(tombstoneOf({ access_token: 'a' }))).toEqual(['version', 'generation'])
  expect(tombstoneOf({ access_token: 'a', profile: 'work' })).toEqual({ version: 1, generation: 1, profile: 'work' })
})

describe('T12: a damaged cache', () => {
  const bytes = Buffer.from(serializeRecord(full, key))

  test('T12: truncated at every byte, it is damaged and never throws', () => {
    // The last byte is the line feed, without which it is whole.
    for (let length = 0; length < bytes.length - 1; length += 1) {
      expect(parseRecord(bytes.subarray(0, length), key).outcome, `${length} bytes`).toBe('damaged')
    }
  })

  test('T12: deep and huge documents are refused without exhausting stack or memory', () => {
    expect(parse(`{"x":${'['.repeat(200_000)}${']'.repeat(200_000)}}`).outcome).toBe('damaged')
    expect(parse(`{"x":"${'a'.repeat(1024 * 1024)}"}`)).toEqual({ outcome: 'damaged', reason: 'is too large' })
    const nested = (depth: number): string => `{"x":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`
    expect([32, 33].map((depth) => parse(nested(depth)).outcome)).toEqual(['record', 'damaged'])
    expect([0, 1].map((more) => parse(`{}${' '.repeat(maxRecordBytes - 2 + more)}`).outcome)).toEqual(['record', 'damaged'])
    for (const text of ['[]', '7', 'null', '"x"', '{"x":[{"__proto__":{}}]}']) expect(parse(text).outcome).toBe('damaged')
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

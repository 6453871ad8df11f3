import { inspect } from 'node:util'
import { McpAuthError, secrets } from '@mcpauth/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createRedactor } from '../src/index.ts'

const { redactValue, redactHeaders, redactError, redactJson } = createRedactor()
const secret = 'canary-of-the-value-tests'
secrets.add(secret)

test('T13: strings, keys and items are redacted in objects, arrays, maps and sets, and what they came from is not changed', () => {
  const value = { text: secret, password: 'abc', list: [secret, 7], map: new Map([['token', 'abc']]), set: new Set([secret]), [secret]: 1 }
  const before = inspect(value)
  expect(redactValue(value)).toEqual({
    text: '[REDACTED]',
    password: '[REDACTED]',
    list: ['[REDACTED]', 7],
    map: new Map([['token', '[REDACTED]']]),
    set: new Set(['[REDACTED]']),
    '[REDACTED]': 1
  })
  expect(inspect(value)).toBe(before)
})

test('T13: cycles stay cycles', () => {
  const value: Record<string, unknown> = { token: secret }
  value.self = value
  const copy = redactValue(value) as Record<string, unknown>
  expect(copy.self).toBe(copy)
  expect(copy.token).toBe('[REDACTED]')
})

test('T13: web objects become their redacted facts', () => {
  const request = new Request('https://h/?code=abc', { headers: { authorization: 'Bearer abc', accept: '*/*' } })
  expect(
    redactValue({
      url: new URL('https://u:p@h/?token=abc'),
      request,
      headers: request.headers,
      query: new URLSearchParams({ code: 'abc' })
    })
  ).toEqual({
    url: 'https://[REDACTED]@h/?token=[REDACTED]',
    request: { method: 'GET', url: 'https://h/?code=[REDACTED]', headers: { authorization: '[REDACTED]', accept: '*/*' } },
    headers: { authorization: '[REDACTED]', accept: '*/*' },
    query: 'code=[REDACTED]'
  })
})

test('T13: a secret that a server has made the name of a header is taken out as well, in whatever form the headers are', () => {
  const expected = { '[REDACTED]': ['1', '2'], accept: '*/*' }
  expect(redactHeaders([secret, '1', secret, '2', 'accept', '*/*'])).toEqual(expected)
  expect(
    redactValue(
      new Headers([
        [secret, '1'],
        ['accept', '*/*']
      ])
    )
  ).toEqual({ '[REDACTED]': '1', accept: '*/*' })
})

test('T13: a string that is an object does not come out letter by letter', () => {
  expect(redactValue([new String(secret), { password: new String('abc') }, new String('plain')])).toEqual([
    '[REDACTED]',
    { password: '[REDACTED]' },
    'plain'
  ])
})

test('T13: raw headers, flat or in pairs, under whatever name', () => {
  expect(redactValue({ raw: ['Authorization', 'Bearer abc', 'Accept', '*/*'], pairs: [['cookie', 'a=b']] })).toEqual({
    raw: ['Authorization', '[REDACTED]', 'Accept', '*/*'],
    pairs: [['cookie', '[REDACTED]']]
  })
})

test('T13: pairs of a name and a value, as a HAR file and a container have them', () => {
  const pairs = [
    { name: 'Authorization', value: 'Bearer abc' },
    { name: 'API_TOKEN', value: 'abc' },
    { key: 'password', value: 'abc', enabled: true },
    { name: 'Accept', value: '*/*' },
    { name: 'token' }
  ]
  expect(redactValue({ pairs })).toEqual({
    pairs: [
      { name: 'Authorization', value: '[REDACTED]' },
      { name: 'API_TOKEN', value: '[REDACTED]' },
      { key: 'password', value: '[REDACTED]', enabled: true },
      { name: 'Accept', value: '*/*' },
      { name: 'token' }
    ]
  })
})

test('T13: what lies deeper under a secret key keeps its shape, and no text', () => {
  const value = {
    client_secret: { value: 'abc', parts: ['d', { e: 'f' }], map: new Map([['g', 'h']]), generation: 3, none: '', type: 'Bearer' }
  }
  expect(redactValue(value)).toEqual({
    client_secret: {
      value: '[REDACTED]',
      parts: ['[REDACTED]', { e: '[REDACTED]' }],
      map: new Map([['[REDACTED]', '[REDACTED]']]),
      generation: 3,
      none: '',
      type: '[REDACTED]'
    }
  })
})

test('the code of an error, a JSON schema and plain data stay', () => {
  const value = {
    code: -32600,
    error: { code: 'ECONNREFUSED' },
    inputSchema: {
      properties: { password: { type: 'string' }, token: { $ref: '#/t' }, secret: { anyOf: [{ type: 'string', title: 'S' }] } }
    },
    big: 10n,
    no: null,
    at: new Date(0)
  }
  expect(redactValue(value)).toEqual(value)
})

test('T13: bytes are not shown, and what throws when it is looked at is named', () => {
  const value = {
    bytes: Buffer.from(secret),
    get bad() {
      throw new Error(secret)
    }
  }
  expect(redactValue(value)).toBe('[unreadable]')
  expect(redactValue({ bytes: Buffer.from(secret) })).toEqual({ bytes: `[Uint8Array: ${secret.length} bytes]` })
})

test('a very deep value ends somewhere', () => {
  let value: unknown = 'x'
  for (let i = 0; i < 10_000; i++) value = { value }
  expect(JSON.stringify(redactValue(value))).toContain('[too deep]')
})

test('__proto__ is a name like any other', () => {
  const copy = redactValue(JSON.parse('{"__proto__":{"polluted":true}}')) as object
  expect(Object.keys(copy)).toEqual(['__proto__'])
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
})

describe('errors', () => {
  test('T13: message, stack, causes, own properties, and the errors of an AggregateError', () => {
    const cause = Object.assign(new TypeError(`inner ${secret}`), { body: { refresh_token: 'abc' } })
    const error = new AggregateError([new Error(secret)], `outer ${secret}`, { cause })
    const seen = inspect(redactError(error), { showHidden: true, depth: null })
    expect(seen).not.toContain(secret)
    expect(seen).not.toContain("'abc'")
    expect(redactError(error)).toMatchObject({ name: 'AggregateError', message: 'outer [REDACTED]' })
    expect((redactError(error).cause as Error).name).toBe('TypeError')
  })

  test('an error that causes itself, a DOMException, and things that are no errors', () => {
    const error = new Error('x')
    error.cause = error
    const copy = redactError(error)
    expect(copy.cause).toBe(copy)
    expect(redactError(new DOMException(secret, 'AbortError'))).toMatchObject({ name: 'AbortError', message: '[REDACTED]' })
    expect(redactError(secret).message).toBe('[REDACTED]')
    expect(redactError({ secret }).message).toBe('a thrown object')
  })

  test('code and hint of an McpAuthError stay', () => {
    expect(redactError(new McpAuthError('MCPAUTH_NETWORK', 'no', { hint: 'try again' }))).toMatchObject({
      code: 'MCPAUTH_NETWORK',
      hint: 'try again'
    })
  })
})

describe('JSON', () => {
  test('T13: a secret is found however its string is escaped', () => {
    const escaped = [...secret].map((character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')
    expect(redactJson(`{"a": "${escaped}", "pass\\u0077ord": "x"}`)).toBe('{"a":"[REDACTED]","password":"[REDACTED]"}')
  })

  test('numbers stay as they were written', () => {
    expect(redactJson('{"id": 12345678901234567890, "x": 1.0, "y": 1e3}')).toBe('{"id":12345678901234567890,"x":1.0,"y":1e3}')
  })

  test('T13: what is not JSON is treated as text', () => {
    expect(redactJson(`{"a": ${secret}`)).toBe('{"a": [REDACTED]')
    expect(redactJson('password=abc')).toBe('password=[REDACTED]')
  })
})

test('T13: generated values, and no canary in any encoding in what comes out', () => {
  const forms = [
    secret,
    Buffer.from(secret).toString('hex'),
    Buffer.from(secret).toString('base64'),
    encodeURIComponent(`${secret}=`),
    Buffer.from(`u:${secret}`).toString('base64')
  ]
  const leaf = fc.oneof(
    fc.constantFrom(...forms),
    fc.string(),
    fc.integer(),
    fc.constantFrom(...forms).map((form) => `a ${form} b`)
  )
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(fc.oneof(fc.string(), fc.constantFrom(...forms)), tie('value'), { maxKeys: 4 }),
      tie('value').map((inner) => new Map([[inner, inner]])),
      tie('value').map((inner) => new Set([inner])),
      tie('value').map((inner) => new Error(typeof inner === 'string' ? inner : 'x', { cause: inner })),
      fc.constantFrom(...forms).map((form) => new Headers({ 'x-any': form }))
    )
  }))
  fc.assert(
    fc.property(value, (generated) => {
      const seen = inspect(redactValue(generated), {
        showHidden: true,
        depth: null,
        breakLength: Number.POSITIVE_INFINITY,
        maxStringLength: null
      })
      return forms.every((form) => !seen.includes(form.slice(0, 24)))
    }),
    { numRuns: Number(process.env.MCPAUTH_FUZZ_RUNS ?? 2_000) }
  )
})

import { McpAuthError } from '@mcpauth/core'
import fc from 'fast-check'
import { serializeDictionary } from 'structured-headers'
import { describe, expect, it } from 'vitest'
import { fieldsOf, normalAuthority, type RequestMessage } from '../src/http-message.ts'
import { baseLine, coverable } from '../src/signature-base.ts'
import { signatureInvalid } from '../src/signature-error.ts'
import { parseComponent } from '../src/signature-params.ts'
import { type FieldType, parseFieldDictionary } from '../src/structured-fields.ts'

function requestTo(target: string, headers: unknown = {}, more: Partial<RequestMessage> = {}): RequestMessage {
  return { kind: 'request', method: 'GET', scheme: 'https', authority: 'www.example.com', target, fields: fieldsOf(headers), ...more }
}

function lineOf(component: string, message: RequestMessage, fieldTypes?: Record<string, FieldType>): string {
  return baseLine(coverable(parseComponent(component, signatureInvalid), fieldTypes, signatureInvalid), message).replace(/\n$/, '')
}

describe('derived components (RFC 9421 §2.2)', () => {
  const message = requestTo('/path?param=value', {}, { method: 'POST' })

  it.each([
    ['@method', '"@method": POST'],
    ['@target-uri', '"@target-uri": https://www.example.com/path?param=value'],
    ['@authority', '"@authority": www.example.com'],
    ['@scheme', '"@scheme": https'],
    ['@request-target', '"@request-target": /path?param=value'],
    ['@path', '"@path": /path'],
    ['@query', '"@query": ?param=value'],
    ['@query-param;name="param"', '"@query-param";name="param": value'],
    ['"@path"', '"@path": /path']
  ])('%s', (component, line) => {
    expect(lineOf(component, message)).toBe(line)
  })

  it('the query is "?" when there is none, and keeps what is empty', () => {
    expect(lineOf('@query', requestTo('/path'))).toBe('"@query": ?')
    expect(lineOf('@query', requestTo('/path?'))).toBe('"@query": ?')
    expect(lineOf('@query', requestTo('/path?queryString'))).toBe('"@query": ?queryString')
    expect(lineOf('@path', requestTo('/a/../b%2Fc;d?x'))).toBe('"@path": /a/../b%2Fc;d')
  })

  it('query parameters are decoded and encoded again, as §2.2.8 shows', () => {
    const target = '/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something'
    expect(lineOf('@query-param;name="var"', requestTo(target))).toBe('"@query-param";name="var": this%20is%20a%20big%0Amultiline%20value')
    expect(lineOf('@query-param;name="bar"', requestTo(target))).toBe('"@query-param";name="bar": with%20plus%20whitespace')
    expect(lineOf('@query-param;name="fa%C3%A7ade%22%3A%20"', requestTo(target))).toBe(
      '"@query-param";name="fa%C3%A7ade%22%3A%20": something'
    )
    const empty = requestTo("/path?param=value&foo=bar&baz=batman&qux=&odd=!'()~*-._")
    expect(lineOf('@query-param;name="qux"', empty)).toBe('"@query-param";name="qux": ')
    expect(lineOf('@query-param;name="odd"', empty)).toBe('"@query-param";name="odd": %21%27%28%29%7E*-._')
  })

  it.each(['@query-param;name="none"', '@query-param;name="twice"'])('%s is refused when the query has none or two', (component) => {
    expect(() => lineOf(component, requestTo('/?twice=1&twice=2'))).toThrow(McpAuthError)
  })

  it.each([
    ['Example.COM:443', 'https', 'example.com'],
    ['example.com:80', 'http', 'example.com'],
    ['example.com:443', 'http', 'example.com:443'],
    ['[::1]:8080', 'http', '[::1]:8080'],
    ['a/b', 'http', undefined],
    ['user@host', 'http', undefined],
    ['a b', 'http', undefined],
    ['', 'http', undefined]
  ])('the authority %s of %s is %s', (host, scheme, authority) => {
    expect(normalAuthority(host, scheme)).toBe(authority)
  })
})

describe('fields (RFC 9421 §2.1)', () => {
  it('are trimmed, unfolded and joined', () => {
    const headers = [
      ['Host', 'www.example.com'],
      ['X-OWS-Header', '  Leading and trailing whitespace.  \t'],
      ['X-Obs-Fold-Header', 'Obsolete\n    line folding.'],
      ['Cache-Control', 'max-age=60'],
      ['Cache-Control', '   must-revalidate'],
      ['X-Empty-Header', '']
    ]
    const message = requestTo('/', headers)
    expect(lineOf('x-ows-header', message)).toBe('"x-ows-header": Leading and trailing whitespace.')
    expect(lineOf('x-obs-fold-header', message)).toBe('"x-obs-fold-header": Obsolete line folding.')
    expect(lineOf('cache-control', message)).toBe('"cache-control": max-age=60, must-revalidate')
    expect(lineOf('x-empty-header', message)).toBe('"x-empty-header": ')
  })

  it('are found in every form that undici takes', () => {
    const forms = [
      { 'X-A': ['1', '2'] },
      ['X-A', '1', 'x-a', '2'],
      ['X-A', ['1', '2']],
      new Map([['X-A', ['1', '2']]]),
      new Headers([
        ['X-A', '1'],
        ['x-a', '2']
      ])
    ]
    for (const headers of forms) expect(lineOf('x-a', requestTo('/', headers))).toBe('"x-a": 1, 2')
  })

  it('sf serialises strictly, by the type that is registered or given (§2.1.1)', () => {
    const message = requestTo('/', { 'Example-Dict': ' a=1,    b=2;x=1;y=2,   c=(a   b   c), d', Priority: 'u=1,i' })
    expect(lineOf('"example-dict";sf', message, { 'example-dict': 'dictionary' })).toBe('"example-dict";sf: a=1, b=2;x=1;y=2, c=(a b c), d')
    expect(lineOf('priority;sf', message)).toBe('"priority";sf: u=1, i')
    expect(() => lineOf('"example-dict";sf', message)).toThrow(McpAuthError)
  })

  it('key takes one member (§2.1.2)', () => {
    const message = requestTo('/', { 'Example-Dict': '  a=1, b=2;x=1;y=2, c=(a   b    c), d' })
    expect(lineOf('"example-dict";key="a"', message)).toBe('"example-dict";key="a": 1')
    expect(lineOf('"example-dict";key="d"', message)).toBe('"example-dict";key="d": ?1')
    expect(lineOf('"example-dict";key="b"', message)).toBe('"example-dict";key="b": 2;x=1;y=2')
    expect(lineOf('"example-dict";key="c"', message)).toBe('"example-dict";key="c": (a b c)')
    expect(() => lineOf('"example-dict";key="e"', message)).toThrow(McpAuthError)
  })

  it('bs wraps each line (§2.1.3)', () => {
    const two = requestTo('/', ['Example-Header', 'value, with, lots', 'Example-Header', 'of, commas'])
    const one = requestTo('/', ['Example-Header', 'value, with, lots, of, commas'])
    expect(lineOf('"example-header";bs', two)).toBe('"example-header";bs: :dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:')
    expect(lineOf('"example-header";bs', one)).toBe('"example-header";bs: :dmFsdWUsIHdpdGgsIGxvdHMsIG9mLCBjb21tYXM=:')
    expect(lineOf('x;bs', requestTo('/', { x: 'ü' }))).toBe('"x";bs: :/A==:')
  })

  it.each(['ü', 'a\nb', 'a\r\nb', '\0'])('a value that would make the base ambiguous is refused: %j', (value) => {
    expect(() => lineOf('x', requestTo('/', { x: value }))).toThrow(McpAuthError)
  })

  it.each([
    '@status',
    '@signature-params',
    '@unknown',
    '@method;sf',
    '@path;key="a"',
    '@authority;bs',
    '@query-param',
    'x;name="a"',
    'x;bs;sf',
    'x;bs;key="a"',
    'x;tr',
    'x;other',
    'x;sf=?0',
    'x;key=1',
    'X-Upper',
    'x y',
    '',
    '"x',
    'x;'
  ])('the identifier %s is refused', (component) => {
    expect(() => lineOf(component, requestTo('/', { x: '1' }))).toThrow(McpAuthError)
  })

  it('the order of parameters does not make another identifier (§2)', () => {
    const [one, two] = ['x;req;key="a"', 'x;key="a";req'].map((text) => parseComponent(text, signatureInvalid))
    expect(one?.identity).toBe(two?.identity)
    expect(one?.text).not.toBe(two?.text)
  })
})

describe('structured fields', () => {
  it('what is serialised is parsed back', () => {
    const key = fc.stringMatching(/^[a-z*][a-z0-9_.*-]{0,12}$/)
    const bare = fc.oneof(
      fc.boolean(),
      fc.integer({ min: -999_999_999_999_999, max: 999_999_999_999_999 }),
      fc.stringMatching(/^[\x20-\x7e]{0,40}$/)
    )
    const parameters = fc.uniqueArray(fc.tuple(key, bare), { selector: ([name]) => name, maxLength: 4 })
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(key, bare, parameters), { selector: ([name]) => name }), (members) => {
        const dictionary = new Map(
          members.map(([name, value, more]) => [name, [value, new Map(more)] as [typeof value, Map<string, typeof value>]])
        )
        expect(parseFieldDictionary('x', serializeDictionary(dictionary))).toEqual(dictionary)
      })
    )
  })

  it('no text makes reading one throw anything but our error', () => {
    const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.stringMatching(/^[a-z0-9=;:"()?@%,. \\+/*-]{0,60}$/))
    fc.assert(
      fc.property(text, fc.constantFrom('x;sf', 'x;key="a"', 'x;bs', 'x'), (value, component) => {
        for (const type of ['dictionary', 'list', 'item'] as const) {
          try {
            lineOf(component, requestTo('/', { x: value }), { x: type })
          } catch (error) {
            expect(McpAuthError.is(error)).toBe(true)
          }
        }
      }),
      { numRuns: 2000 }
    )
  })
})

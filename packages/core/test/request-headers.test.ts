import { describe, expect, test } from 'vitest'
import { headerPairs, headerValue, requestUrl, withHeaderValues } from '../src/index.ts'

const shapes: Array<[string, unknown]> = [
  ['an object', { Accept: 'a', Authorization: 'old' }],
  ['a flat array', ['Accept', 'a', 'AUTHORIZATION', 'old', 'authorization', 'older']],
  ['Headers', new Headers({ Accept: 'a', Authorization: 'old' })],
  ['a Map', new Map(Object.entries({ Accept: 'a', Authorization: 'old' }))],
  [
    'pairs',
    [
      ['Accept', 'a'],
      ['authorization', 'old']
    ]
  ]
]

describe.each(shapes)('headers as %s', (_name, headers) => {
  test('one header is replaced in every case, the others stay, and the original is unchanged', () => {
    const before = JSON.stringify(headerPairs(headers))
    const options = { path: '/', method: 'GET', headers }
    const set = withHeaderValues(options, { authorization: 'new' })
    expect(headerValue(set.headers, 'authorization')).toBe('new')
    expect(headerValue(set.headers, 'accept')).toBe('a')
    expect(JSON.stringify(headerPairs(headers))).toBe(before)
    expect(options.headers).toBe(headers)
  })
})

test('absent headers can be set, and several values are joined', () => {
  expect(headerPairs(withHeaderValues({ path: '/', method: 'GET', headers: undefined }, { a: '1' }).headers)).toEqual([['a', '1']])
  expect(headerValue({ Accept: ['a', 'b'] }, 'accept')).toBe('a, b')
  expect(headerValue(null, 'accept')).toBeUndefined()
})

test('requestUrl adds the separate query', () => {
  expect(requestUrl({ origin: 'https://a.example', path: '/x?a=1', method: 'GET', query: { b: ['2', '3'], c: 'd e' } }).href).toBe(
    'https://a.example/x?a=1&b=2&b=3&c=d+e'
  )
})

test('headers that are a plain object stay one, and a name of the same length stays too', () => {
  const set = withHeaderValues(
    { path: '/', method: 'GET', headers: { 'x-custom-head': 'a', AUTHORIZATION: 'old' } },
    { authorization: 'new' }
  )
  expect(set.headers).toEqual({ 'x-custom-head': 'a', authorization: 'new' })
  expect(withHeaderValues({ path: '/', method: 'GET', headers: null }, { a: '1' }).headers).toEqual(['a', '1'])
  expect(headerValue({ abc: '1' }, 'xyz')).toBeUndefined()
})

test('a request with headers of ours is not redirected further in', () => {
  for (const headers of [{}, []])
    expect(withHeaderValues({ path: '/', method: 'GET', headers }, { a: '1' })).toMatchObject({ maxRedirections: 0 })
})

test('what undici leaves out is left out: undefined values and a name without a value; null is empty', () => {
  expect(headerPairs({ a: undefined, b: null, c: 7, d: ['1', null] })).toEqual([
    ['b', ''],
    ['c', '7'],
    ['d', ['1', '']]
  ])
  expect(headerPairs(['a', '1', 'b'])).toEqual([['a', '1']])
})

test('N26 a path that is none never becomes part of the host', () => {
  const at = (path: string): string => requestUrl({ origin: 'https://a.example', path, method: 'GET' }).href
  expect(at('@evil.example/x')).toBe('https://a.example/')
  expect(at('.evil.example')).toBe('https://a.example/')
  expect(at('/x')).toBe('https://a.example/x')
})

test('requestUrl leaves out of the separate query what undici leaves out', () => {
  expect(
    requestUrl({ origin: 'https://a.example', path: '/', method: 'GET', query: { a: undefined, b: null, c: [null, 'x', undefined] } }).href
  ).toBe('https://a.example/?c=x')
})

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

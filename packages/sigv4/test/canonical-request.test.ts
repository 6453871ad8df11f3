import { expect, it } from 'vitest'
import { canonicalHeaders, canonicalTarget, pathRulesOf } from '../src/canonical-request.ts'

const rules = pathRulesOf('execute-api')

it('takes a path above ASCII as the bytes that undici sends, one per character', () => {
  expect(canonicalTarget('/\u00e9', rules)).toBe('/%E9\n')
})

it('encodes the path twice and normalises it, but for S3, which takes it as it is', () => {
  expect(canonicalTarget('/a%20b//./c/../d/?x', rules)).toBe('/a%2520b/d/\nx=')
  expect(canonicalTarget('/a%20b//./c/../d/?x', pathRulesOf('s3'))).toBe('/a%20b//./c/../d/\nx=')
})

it('sorts a name before the longer ones that begin with it', () => {
  expect(canonicalTarget('/?a-=1&a=2&a=1&a%20=3', rules)).toBe('/\na=1&a=2&a%20=3&a-=1')
})

it('joins a repeated header in the order in which it is sent, whatever its case', () => {
  expect([
    ...canonicalHeaders([
      ['X-B', ['2', ' 1 ']],
      ['accept', 'a   b\tc'],
      ['x-b', '3']
    ])
  ]).toEqual([
    ['x-b', '2,1,3'],
    ['accept', 'a b c']
  ])
})

import { expect, test } from 'vitest'
import { checkOptionNames } from '../src/option-names.ts'

const all = (...names: string[]): Record<string, true> => Object.fromEntries(names.map((name) => [name, true as const]))

/** The refusal of an option, where there are these. */
function refusalOf(name: string, key: string, known: Record<string, true>): unknown {
  try {
    return checkOptionNames(name, { [key]: 1 }, known)
  } catch (error) {
    return error
  }
}

test.each<[string, string, string, boolean]>([
  ['nothing but case and separators', 'ABC_def-ghi_JKL', 'abcDefGhiJkl', true],
  ['three letters missing at the beginning', 'defghijklmno', 'abcdefghijklmno', true],
  ['four letters missing at the beginning', 'efghijklmnop', 'abcdefghijklmnop', false],
  ['three letters missing in three places', 'bcdefhijklmn', 'abcdefghijklmno', true],
  ['three letters too many at the end', 'abcdefghijklxyz', 'abcdefghijkl', true],
  ['three letters too many at the beginning', 'xyzabcdefghijkl', 'abcdefghijkl', true],
  ['three letters too many in the middle', 'abcxyzdefghijkl', 'abcdefghijkl', true],
  ['four letters too many, which is a quarter', 'abcdefghijklwxyz', 'abcdefghijkl', true],
  ['five letters too many', 'abcdefghijklvwxyz', 'abcdefghijkl', false],
  ['three other letters at the beginning', 'xyzdefghijkl', 'abcdefghijkl', true],
  ['three other letters at the end', 'abcdefghixyz', 'abcdefghijkl', true],
  ['three other letters in three places', 'xbydezghijkl', 'abcdefghijkl', true],
  ['four other letters', 'wxyzefghijkl', 'abcdefghijkl', false],
  ['one missing, one other, one too many', 'bcdefghixkly', 'abcdefghijkl', true],
  ['two letters of a short name', 'abxy', 'abcd', true],
  ['three letters of a short name', 'axyz', 'abcd', false],
  ['everything, of a name of two letters', 'xy', 'ab', true],
  ['one letter missing of three', 'ab', 'abc', true],
  ['one letter more than three', 'abcd', 'abc', true]
])('an option that differs from a known one by %s: %s for %s, which is named: %s', (_what, key, known, named) => {
  expect(refusalOf('', key, all(known))).toMatchObject({
    code: 'MCPAUTH_INVALID_OPTION',
    message: `option ${key}: does not exist`,
    hint: named ? `did you mean ${known}?` : undefined
  })
})

test('of several known options the nearest is named, wherever it stands', () => {
  for (const names of [
    ['scope', 'score', 'scopes'],
    ['scopes', 'score', 'scope'],
    ['score', 'scopes', 'scope']
  ])
    expect(refusalOf('', 'scopess', all(...names))).toMatchObject({ hint: 'did you mean scopes?' })
})

test('an option of an inner object is named with it, and T14: in safe words', () => {
  expect(refusalOf('client', 'secret\u001b[31m', all('clientId'))).toMatchObject({
    message: expect.stringMatching(/^option client\.secret/)
  })
  for (const name of ['', 'client'])
    expect(refusalOf(name, 'a\u001b]0;x\u0007b', all('clientId'))).toMatchObject({
      message: expect.not.stringMatching(/[\u0000-\u001f]/)
    })
})

test('options that exist are taken, and what every object inherits is none', () => {
  expect(refusalOf('', 'scope', all('scope'))).toBeUndefined()
  for (const name of ['toString', 'constructor', '__proto__'])
    expect(() => checkOptionNames('', JSON.parse(`{"${name}":1}`), all('scope'))).toThrow(`option ${name}: does not exist`)
})

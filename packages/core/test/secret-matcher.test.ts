import { describe, expect, test } from 'vitest'
import { createSecretMatcher } from '../src/secret-matcher.ts'

const secret = 'sesame-open-wide'
const found = (text: string, ...secrets: string[]): string[] => {
  const matcher = createSecretMatcher()
  for (const each of secrets) matcher.add(each, each)
  return matcher.find(text).map(({ start, end }) => text.slice(start, end))
}

test('T13: each place is found once, with its bounds and its replacement', () => {
  const matcher = createSecretMatcher()
  matcher.add(secret, 'S')
  expect(matcher.find(`a${secret}b`)).toEqual([{ start: 1, end: 17, replacement: 'S' }])
  expect(matcher.find(`${secret}${secret}`)).toEqual([
    { start: 0, end: 16, replacement: 'S' },
    { start: 16, end: 32, replacement: 'S' }
  ])
})

test('T13: places come in the order of their starts, the longer first where two begin at one', () => {
  const text = 'open-sesame-open-wide'
  for (const secrets of [
    ['sesame-open', 'sesame-open-wide', 'open-ses'],
    ['sesame-open-wide', 'open-ses', 'sesame-open']
  ])
    expect(found(text, ...secrets)).toEqual(['open-ses', 'sesame-open-wide', 'sesame-open'])
})

test('a form shorter than seven characters is not searched for, one of seven is, also in a text of seven', () => {
  expect(found('sixsix! sixsix!', 'sixsix')).toEqual([])
  expect(found('sevenly', 'sevenly')).toEqual(['sevenly'])
})

describe('the characters beside a base64 form', () => {
  const alphabet = new Set('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_')
  const characters = Array.from({ length: 0x80 }, (_, code) => String.fromCharCode(code))
  // With one foreign byte before it, the secret begins within the second character and ends within one that follows.
  const form = Buffer.from(`u${secret}`).toString('base64').slice(2, 22)

  test('T13: that hold bits of the secret go with it, and no others', () => {
    for (const character of characters) {
      const text = `.${character}${form}${character}.`
      expect(found(text, secret), JSON.stringify(character)).toEqual([
        alphabet.has(character) ? `${character}${form}${character}` : `${form}${character === '=' ? '=' : ''}`
      ])
    }
  })

  test('T13: at the beginning of a group of three nothing before it is of the secret', () => {
    const whole = Buffer.from(secret).toString('base64')
    expect(found(`x${whole}`, secret)).toEqual([whole])
    expect(found(`x${whole}=`, secret)).toEqual([whole])
    expect(found(whole.slice(0, 21), secret)).toEqual([whole.slice(0, 21)])
  })

  test('beside a secret as it is they stay', () => {
    expect(found(`a${secret}a=`, secret)).toEqual([secret])
    const hex = Buffer.from(secret).toString('hex')
    expect(found(`a${hex}a=`, secret)).toEqual([hex])
  })
})

describe('a secret that is taken out again', () => {
  test('is not found any more, in none of its forms, and those that look like it are', () => {
    const matcher = createSecretMatcher()
    const remove = matcher.add('alpha-and-the-same-end', 'a')
    matcher.add('bravo-and-the-same-end', 'b')
    remove()
    const text = 'alpha-and-the-same-end'
    expect(matcher.find(`${text} ${Buffer.from(text).toString('hex')} ${Buffer.from(text).toString('base64')}`)).toEqual([])
    expect(matcher.find('bravo-and-the-same-end')).toHaveLength(1)
    matcher.add(text, 'again')
    expect(matcher.find(text)).toEqual([{ start: 0, end: text.length, replacement: 'again' }])
  })

  test('does not take others with it, however many come and go', () => {
    const matcher = createSecretMatcher()
    const names = Array.from({ length: 60 }, (_, i) => `secret-number-${i}-of-many`)
    const removals = names.map((name) => matcher.add(name, name))
    for (const [i, remove] of removals.entries()) if (i % 3 !== 0) remove()
    for (let i = 0; i < 40; i++) matcher.add(`passing-by-${i}-quickly`, 'p')()
    expect(names.filter((name) => matcher.find(name).length > 0)).toEqual(names.filter((_, i) => i % 3 === 0))
    expect(matcher.find('passing-by-7-quickly')).toEqual([])
  })
})

test('T13: many secrets of eight characters with one end are told apart', () => {
  const letters = [...'abcdefghijklmnopqrstuvwxyz']
  const matcher = createSecretMatcher()
  for (const letter of letters) matcher.add(`${letter}-ending`, letter)
  for (const letter of letters) expect(matcher.find(`${letter}-ending`).map(({ replacement }) => replacement)).toEqual([letter])
})

test('an empty matcher finds nothing', () => {
  expect(createSecretMatcher().find('any text whatever')).toEqual([])
})

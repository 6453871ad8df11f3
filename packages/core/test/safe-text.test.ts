import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { safeText } from '../src/safe-text.ts'
import { secrets } from '../src/secret-registry.ts'

const corpus = join(process.env.MCPAUTH_VECTORS ?? '../shared/vectors', 'hostile/terminal.json')
// Written as a property of code points, not as the expression under test.
const isHarmless = (text: string): boolean =>
  [...text].every((character) => {
    const code = character.codePointAt(0) as number
    return code >= 0x20 && !(code >= 0x7f && code <= 0x9f) && !/\p{Bidi_Control}|\p{Cs}|\p{Zl}|\p{Zp}|\p{Cf}/u.test(character)
  })

describe.skipIf(!existsSync(corpus))('T14: the corpus of terminal tricks', () => {
  const cases = existsSync(corpus) ? (JSON.parse(readFileSync(corpus, 'utf8')) as string[]) : []
  test.each(cases.map((text) => [JSON.stringify(text), text]))('%s is made safe to print', (_name, text) => {
    expect(isHarmless(safeText(text))).toBe(true)
    expect(safeText(`before${text}after`)).toMatch(/^before.*after$/)
  })
})

test('T14: no text whatever keeps a control, an escape, a reordering or hiding character, or a second line', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), (text) => isHarmless(safeText(text)) && safeText(text).length <= 300)
  )
})

test('T14: text in any script passes as it is', () => {
  for (const text of ['plain', 'naïve café', '日本語', 'עברית', 'Ελληνικά', '🙂']) expect(safeText(text)).toBe(text)
})

test('long text is cut at the bound and says so, never through a pair of surrogates', () => {
  expect(safeText('x'.repeat(400), 10)).toBe(`${'x'.repeat(9)}…`)
  expect(safeText('🙂'.repeat(10), 6)).toBe('🙂🙂…')
})

test('what is not a string becomes the empty string', () => {
  for (const value of [undefined, null, 7, { toString: () => 'x' }]) expect(safeText(value)).toBe('')
})

test('T13: a secret that a server says back is taken out, also one that the cut goes through', () => {
  secrets.add('canary-said-back-by-a-server', 'token')
  expect(safeText('you sent canary-said-back-by-a-server')).toBe('you sent [REDACTED:token]')
  for (let length = 10; length < 60; length++)
    expect(safeText(`${'x'.repeat(20)}canary-said-back-by-a-server`, length)).not.toContain('canary')
})

test('a removed character leaves a space, several leave one, and none is left at the ends', () => {
  expect(safeText('\u0007a\u001b\u0000b  c\n')).toBe('a b c')
})

test('text of just the bound is whole, and what stands four bounds behind is not looked at', () => {
  expect(safeText('x'.repeat(300))).toBe('x'.repeat(300))
  expect(safeText(`${'\u0000'.repeat(40)}late`, 10)).toBe('')
  expect(safeText(`${'\u0000'.repeat(39)}late`, 10)).toBe('l')
})

import { parseChallenges } from '@mcpauth/core'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { fuzzRuns, isLongRun } from './fuzz.ts'

// What challenges are made of, so that random ones come near to real ones.
const piece = fc.constantFrom(
  'Bearer',
  'DPoP',
  'Basic',
  'Negotiate',
  'realm',
  'scope',
  'error',
  'resource_metadata',
  '=',
  '"',
  '\\',
  '\\"',
  ',',
  ' ',
  '\t',
  '==',
  'https://a.example/x',
  '"quoted, text"',
  'abc==',
  '\u0000',
  'é',
  '🙂',
  '__proto__',
  'constructor'
)
const header = fc.oneof(
  fc.array(fc.oneof({ weight: 4, arbitrary: piece }, fc.string({ maxLength: 5 })), { maxLength: 60 }).map((parts) => parts.join('')),
  fc.string({ unit: 'binary', maxLength: 200 })
)

const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,12}$/)
const challenge = fc.record({
  scheme: token,
  parameters: fc.uniqueArray(fc.tuple(token, fc.string({ maxLength: 20 })), {
    selector: ([name]) => name.toLowerCase(),
    minLength: 1,
    maxLength: 4
  })
})

function written({ scheme, parameters }: { scheme: string; parameters: Array<[string, string]> }): string {
  return `${scheme} ${parameters.map(([name, value]) => `${name}="${value.replace(/["\\]/g, '\\$&')}"`).join(', ')}`
}

test('T15: no header whatever makes the parser throw, or give something that is no challenge', () => {
  fc.assert(
    fc.property(fc.oneof(header, fc.array(header, { maxLength: 4 })), (text) => {
      for (const { scheme, parameters, token68 } of parseChallenges(text)) {
        if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(scheme) || scheme !== scheme.toLowerCase()) return false
        if (Object.getPrototypeOf(parameters) !== null) return false
        if (token68 !== undefined && Object.keys(parameters).length > 0) return false
      }
      return ({} as Record<string, unknown>).realm === undefined
    }),
    fuzzRuns('T15 junk', 2_000, 1_000_000)
  )
})

test('T15: what is written by the grammar is read back whole, in one line or several', () => {
  fc.assert(
    fc.property(fc.array(challenge, { minLength: 1, maxLength: 4 }), fc.boolean(), (challenges, inOneLine) => {
      const lines = challenges.map(written)
      const expected = challenges.map(({ scheme, parameters }) => ({
        scheme: scheme.toLowerCase(),
        parameters: Object.fromEntries(parameters.map(([name, value]) => [name.toLowerCase(), value]))
      }))
      const parsed = parseChallenges(inOneLine ? lines.join(', ') : lines).map(({ scheme, parameters }) => ({
        scheme,
        parameters: { ...parameters }
      }))
      expect(parsed).toEqual(expected)
    }),
    fuzzRuns('T15 grammar', 1_000, 200_000)
  )
})

// The worst that is known for such parsers: quotes and backslashes that never close, commas, names without values.
const evil = [
  '"',
  '\\',
  '"\\',
  ',',
  ' ',
  '=',
  'a ',
  'a=',
  'a="',
  'a=",',
  'Bearer a="\\',
  'Bearer ',
  'a=b,',
  '\t,',
  'https://',
  '~',
  'a=https://,"'
]

test.each(evil)('T15: a header of nothing but %j is read once', (part) => {
  // Of 100,000 characters a quadratic parser makes 10^10 steps, and the time limit of the test ends it.
  expect(Array.isArray(parseChallenges(part.repeat(100_000 / part.length)))).toBe(true)
  expect(Array.isArray(parseChallenges(`Bearer a="${part.repeat(100_000 / part.length)}`))).toBe(true)
})

test.each(evil)('T15: the parser takes steps in proportion to the length of %j', (part) => {
  const steps = (length: number): number => {
    const exec = vi.spyOn(RegExp.prototype, 'exec')
    parseChallenges(`Bearer ${part.repeat(length / part.length)}`)
    const { length: count } = exec.mock.calls
    exec.mockRestore()
    return count
  }
  expect(steps(20_000)).toBeLessThanOrEqual(steps(10_000) * 2.5)
})

// Time is measured at night only; what is not registered by day is not skipped by day.
const atNight = isLongRun ? evil : []
for (const part of atNight) {
  test(`T15: the time for ${JSON.stringify(part)} is linear`, () => {
    const fastest = (length: number): number => {
      const text = `Bearer ${part.repeat(length / part.length)}`
      return Math.min(
        ...Array.from({ length: 7 }, () => {
          const start = process.hrtime.bigint()
          for (let i = 0; i < 20; i++) parseChallenges(text)
          return Number(process.hrtime.bigint() - start)
        })
      )
    }
    fastest(50_000)
    expect(fastest(100_000) / fastest(50_000)).toBeLessThan(2.5)
  })
}

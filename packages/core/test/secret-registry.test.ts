import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { createSecretRegistry, literals, secrets } from '../src/secret-registry.ts'
import { base64, forms } from './written-forms.ts'

test('T13: no bit of the secret is left beside its base64 form', () => {
  const registry = createSecretRegistry()
  registry.add('sesame-open-wide')
  for (const user of ['', 'a', 'ab', 'abc']) {
    const [kept] = registry.redact(base64(`${user}sesame-open-wide`)).split('[REDACTED]') as [string]
    // What is left decodes to whole foreign bytes and not to a bit more.
    expect(kept.length * 6).toBeLessThanOrEqual(user.length * 8)
  }
})

test.each(['a/b+c=d e&f~g', '//\u00ff\u00ff//~~', 'pass"word\\\n', '\ud83d\ude42 smile'])(
  'T13: a secret with signs that are written in many ways (%j)',
  (secret) => {
    const registry = createSecretRegistry()
    registry.add(secret)
    for (const [name, write] of forms) {
      const redacted = registry.redact(`<${write(secret)}>`)
      expect(redacted, name).toContain('[REDACTED]')
      expect(redacted, name).not.toContain(write(secret))
    }
  }
)

test('T13: secrets are found wherever they stand, also across the inner chunks of a long text and beside wide characters', () => {
  const registry = createSecretRegistry()
  const secret = 'needle-in-a-haystack'
  registry.add(secret)
  for (const offset of [0, 1, 2, 3, 65_520, 65_530, 65_535, 65_536, 131_069]) {
    for (const filler of ['.', '漢'])
      expect(registry.redact(`${filler.repeat(offset)}${secret}${filler}`)).toBe(`${filler.repeat(offset)}[REDACTED]${filler}`)
  }
})

test('T13: overlapping and nested secrets leave nothing of either', () => {
  const registry = createSecretRegistry()
  registry.add('alpha-bravo-charlie', 'long')
  registry.add('bravo-charlie-delta', 'next')
  registry.add('bravo-charlie', 'inner')
  registry.add('alpha-bravo', 'start')
  expect(registry.redact('<alpha-bravo-charlie-delta>')).toBe('<[REDACTED:long]>')
  expect(registry.redact('<bravo-charlie>')).toBe('<[REDACTED:inner]>')
})

test('T13: two secrets side by side are two, and of two that begin alike the longer gives its label', () => {
  const registry = createSecretRegistry()
  registry.add('first-of-two-secrets', 'one')
  registry.add('second-of-two-secrets', 'two')
  registry.add('second-of-two-secrets-and-more', 'three')
  expect(registry.redact('first-of-two-secretssecond-of-two-secrets.')).toBe('[REDACTED:one][REDACTED:two].')
  expect(registry.redact('second-of-two-secrets-and-more.')).toBe('[REDACTED:three].')
})

test('T13: a secret that repeats itself is found from its first character on', () => {
  const registry = createSecretRegistry()
  registry.add('abababababab')
  expect(registry.redact('abababababab')).toBe('[REDACTED]')
  expect(registry.redact('<ababababababab>')).not.toContain('ababab')
})

test('T13: the lines of a registered key are found one by one, and the lines that every key has are not', () => {
  const registry = createSecretRegistry()
  const lines = [randomBytes(48).toString('base64'), randomBytes(48).toString('base64')]
  registry.add(`-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`, 'key')
  expect(registry.redact(`1| -----BEGIN PRIVATE KEY-----\n2| ${lines[0]}\n3| ${lines[1]}`)).toBe(
    '1| -----BEGIN PRIVATE KEY-----\n2| [REDACTED:key]\n3| [REDACTED:key]'
  )
})

test('of several lines, one too short or too plain is not a secret of its own, and one that only ends like a frame is', () => {
  const registry = createSecretRegistry()
  registry.add(`fifteen-letters\n${'='.repeat(20)}\r\nsixteen-letters-\nmaterial-with-an-end-----`)
  const kept = `fifteen-letters. ${'='.repeat(20)}.`
  expect(registry.redact(`${kept} sixteen-letters-. material-with-an-end-----`)).toBe(`${kept} [REDACTED]. [REDACTED]`)
})

test('what is no text is not taken, and eight characters are enough', () => {
  const registry = createSecretRegistry()
  registry.add(undefined as never)
  registry.add('eight888')
  expect(registry.redact('undefined eight888')).toBe('undefined [REDACTED]')
})

test.each(['', 'a', 'letmein', '--------', '0000000000000000'])(
  'a word too short or too plain to be a secret (%j) is not taken',
  (word) => {
    const registry = createSecretRegistry()
    registry.add(word)
    expect(registry.redact(`a ${word} a`)).toBe(`a ${word} a`)
  }
)

test('the registry is bounded, and rotated tokens replace each other, never the one client secret', () => {
  const registry = createSecretRegistry(100)
  registry.add('the-client-secret', 'client')
  const tokens = Array.from({ length: 1_000 }, (_, i) => `access-token-number-${i}`)
  for (const token of tokens) registry.add(token, 'token')
  expect(registry.redact('the-client-secret')).toBe('[REDACTED:client]')
  expect(tokens.filter((token) => registry.redact(`${token} `) !== `${token} `)).toEqual(tokens.slice(-99))
})

test('of the tokens of one owner the last eight are kept, and nobody else loses anything', () => {
  const registry = createSecretRegistry()
  const isFound = (secret: string): boolean => registry.redact(`${secret} `) !== `${secret} `
  registry.add('the-token-of-another-server', 'token', 'b')
  registry.add('the-token-that-stays', 'token')
  registry.add('a-token-that-two-servers-have', 'token', 'c')
  for (const lasting of ['the-token-that-stays', 'a-token-that-two-servers-have']) registry.add(lasting, 'token', 'a')
  const tokens = Array.from({ length: 20 }, (_, i) => `access-token-number-${i}`)
  for (const token of tokens) registry.add(token, 'token', 'a')
  expect(tokens.filter(isFound)).toEqual(tokens.slice(-8))
  const others = ['the-token-of-another-server', 'the-token-that-stays', 'a-token-that-two-servers-have']
  expect(others.filter(isFound)).toEqual(others)
})

test('a token that is used again outlives the ones that came after it', () => {
  const registry = createSecretRegistry()
  for (let i = 0; i < 20; i++) {
    registry.add('a-token-in-use', 'token', 'a')
    registry.add(`access-token-number-${i}`, 'token', 'a')
  }
  expect(registry.redact('a-token-in-use')).toBe('[REDACTED:token]')
})

test('what the bound of the whole registry pushed out can come back and be replaced like any other', () => {
  const tokens = Array.from({ length: 40 }, (_, i) => `access-token-number-${i}`)
  for (const capacity of [5, 10]) {
    const registry = createSecretRegistry(capacity)
    for (const token of [...tokens, ...tokens]) for (const owner of ['a', 'b']) registry.add(token, 'token', owner)
    expect(tokens.filter((token) => registry.redact(`${token} `) !== `${token} `)).toEqual(tokens.slice(-Math.min(capacity, 8)))
  }
})

test('what is forgotten is forgotten, whether a text was looked through meanwhile or not', () => {
  const registry = createSecretRegistry()
  const key = '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n-----END PRIVATE KEY-----'
  registry.add(key, 'key', 'a')
  expect(registry.redact('BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj')).toBe('[REDACTED:key]')
  const later = Array.from({ length: 16 }, (_, i) => `another-key-number-${i}`)
  for (const secret of later.slice(0, 8)) registry.add(secret, 'key', 'a')
  expect(registry.redact('BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj')).toBe('BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj')
  for (const secret of later.slice(8)) registry.add(secret, 'key', 'a')
  expect(later.filter((secret) => registry.redact(`${secret} `) !== `${secret} `)).toEqual(later.slice(8))
})

test('a secret that is used again is not the next to go', () => {
  const registry = createSecretRegistry(3)
  for (const secret of ['first-secret', 'second-secret', 'third-secret', 'first-secret', 'fourth-secret']) registry.add(secret)
  expect(registry.redact('first-secret second-secret')).toBe('[REDACTED] second-secret')
})

test('secrets that begin alike are told apart', () => {
  const registry = createSecretRegistry()
  const tokens = Array.from({ length: 300 }, () => `eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.${randomBytes(30).toString('base64url')}`)
  for (const token of tokens) registry.add(token)
  for (const token of tokens) expect(registry.redact(`${token};`)).toBe('[REDACTED];')
  expect(registry.redact('eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.')).toBe('eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.')
})

test('T13: the registry shows no secret, however it is looked at', () => {
  secrets.add('canary-in-the-registry', 'canary')
  const seen = inspect(secrets, { showHidden: true, depth: null, getters: true }) + JSON.stringify(secrets) + String(secrets)
  expect(seen).not.toContain('canary-in')
  expect(Object.keys(globalThis)).toEqual(Object.keys(globalThis).filter((name) => !name.includes('mcpauth')))
  expect(Object.isFrozen(secrets)).toBe(true)
})

test('a label cannot break the JSON or the line it comes to stand in', () => {
  const registry = createSecretRegistry()
  registry.add('one-secret-of-many', 'a "label"\n\u001b[2J')
  expect(registry.redact('{"x":"one-secret-of-many"}')).toBe('{"x":"[REDACTED:a _label_2J]"}')
})

test('a label is cut at forty characters', () => {
  const registry = createSecretRegistry()
  registry.add('one-secret-of-many', 'l'.repeat(50))
  expect(registry.redact('one-secret-of-many')).toBe(`[REDACTED:${'l'.repeat(40)}]`)
})

describe('a full registry', () => {
  const secretOf = (name: string): string => `the-secret-${name}.`
  /** Adds secrets whose labels are the first letters of their names; gives the names of those that are still known. */
  function keptOf(capacity: number, names: string): string {
    const registry = createSecretRegistry(capacity)
    const all = names.split(' ')
    for (const name of all) registry.add(secretOf(name), name[0])
    return [...new Set(all)].filter((name) => registry.redact(secretOf(name)) === `[REDACTED:${name[0]}]`).join(' ')
  }

  test.each([
    ['a new label takes the oldest of the largest group', 4, 'a1 a2 a3 b1 c1', 'a2 a3 b1 c1'],
    ['whichever group was made first', 4, 'b1 a1 a2 a3 c1', 'b1 a2 a3 c1'],
    ['a small group grows at the cost of the largest', 10, 'a1 a2 a3 a4 a5 a6 a7 a8 a9 b1 b2', 'a2 a3 a4 a5 a6 a7 a8 a9 b1 b2'],
    ['a group with more than its share loses its own', 10, 'a1 a2 a3 a4 a5 b1 b2 b3 b4 b5 b6', 'a1 a2 a3 a4 a5 b2 b3 b4 b5 b6'],
    ['one with just its share does not', 9, 'a1 a2 a3 a4 a5 a6 b1 b2 b3 b4', 'a2 a3 a4 a5 a6 b1 b2 b3 b4'],
    ['one that was forgotten can come again', 2, 'a1 a2 a3 a1', 'a1 a3'],
    ['one that was added twice is forgotten all the same', 2, 'a1 a1 a2 a3', 'a2 a3'],
    ['one that was used again goes when its turn comes', 3, 'a1 a2 a3 a1 a4 a5 a6', 'a4 a5 a6'],
    ['a label whose last secret went comes again', 1, 'a1 b1 a2', 'a2']
  ])('%s', (_what, capacity, names, kept) => {
    expect(keptOf(capacity, names).split(' ').sort()).toEqual(kept.split(' ').sort())
  })
})

test('the literals are bounded: the one that was not used for longest goes first', () => {
  for (let i = 0; i < 1_024; i++) literals.add(`literal ${i}`)
  literals.add('literal 0')
  literals.add('one more')
  expect(['literal 0', 'literal 1', 'literal 2', 'one more'].map((value) => literals.has(value))).toEqual([true, false, true, true])
})

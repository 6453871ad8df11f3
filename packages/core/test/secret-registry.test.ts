import { randomBytes } from 'node:crypto'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createSecretRegistry, literals, secrets } from '../src/secret-registry.ts'

const secretText = fc
  .string({ unit: 'grapheme', minLength: 8, maxLength: 120 })
  .filter((text) => text.length >= 8 && !/^(.)\1*$/s.test(text) && text.isWellFormed())
// Never the secret itself, as any text might be.
const surroundings = fc.string({ unit: fc.constantFrom('.', '漢', '\n', '"'), maxLength: 9 })
const base64 = (text: string): string => Buffer.from(text).toString('base64')

const forms: Array<[name: string, write: (secret: string) => string]> = [
  ['as it is', (secret) => secret],
  ['hex', (secret) => Buffer.from(secret).toString('hex')],
  ['HEX', (secret) => Buffer.from(secret).toString('hex').toUpperCase()],
  ['base64', base64],
  ['base64url', (secret) => Buffer.from(secret).toString('base64url')],
  ['base64 after one foreign byte', (secret) => base64(`u${secret}`)],
  ['base64 after two foreign bytes', (secret) => base64(`u:${secret}`)],
  ['base64 between foreign bytes', (secret) => base64(`user:${secret}:more`)],
  ['percent-encoded', (secret) => encodeURIComponent(secret)],
  ['form-encoded', (secret) => new URLSearchParams({ q: secret }).toString()],
  ['JSON', (secret) => JSON.stringify({ secret })],
  ['JSON in JSON', (secret) => JSON.stringify({ text: JSON.stringify({ secret }) })]
]

describe('T13: a registered secret is found', () => {
  test.each(forms)('%s', (_name, write) => {
    fc.assert(
      fc.property(secretText, surroundings, surroundings, (secret, before, after) => {
        const registry = createSecretRegistry()
        registry.add(secret, 'k')
        const redacted = registry.redact(`${before} ${write(secret)} ${after}`)
        expect(redacted).toContain('[REDACTED:k]')
        expect(redacted).not.toContain(write(secret))
        expect(redacted.startsWith(`${before} `) && redacted.endsWith(` ${after}`)).toBe(true)
      })
    )
  })
})

test('T13: no bit of the secret is left beside its base64 form', () => {
  const registry = createSecretRegistry()
  registry.add('sesame-open-wide')
  for (const user of ['', 'a', 'ab', 'abc']) {
    const [kept] = registry.redact(base64(`${user}sesame-open-wide`)).split('[REDACTED]') as [string]
    // What is left decodes to whole foreign bytes and not to a bit more.
    expect(kept.length * 6).toBeLessThanOrEqual(user.length * 8)
  }
})

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
  expect(registry.redact('<alpha-bravo-charlie-delta>')).toBe('<[REDACTED:long]>')
  expect(registry.redact('<bravo-charlie>')).toBe('<[REDACTED:inner]>')
})

test('T13: the lines of a registered key are found one by one, and the lines that every key has are not', () => {
  const registry = createSecretRegistry()
  const lines = [randomBytes(48).toString('base64'), randomBytes(48).toString('base64')]
  registry.add(`-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`, 'key')
  expect(registry.redact(`1| -----BEGIN PRIVATE KEY-----\n2| ${lines[0]}\n3| ${lines[1]}`)).toBe(
    '1| -----BEGIN PRIVATE KEY-----\n2| [REDACTED:key]\n3| [REDACTED:key]'
  )
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

test('T13: two copies of this package in one program share the registry', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mcpauth-two-copies-'))
  try {
    await cp(join(import.meta.dirname, '../src'), folder, { recursive: true })
    const url = pathToFileURL(join(folder, 'secret-registry.ts')).href
    const copy = (await import(/* @vite-ignore */ url)) as typeof import('../src/secret-registry.ts')
    expect(copy.createSecretRegistry).not.toBe(createSecretRegistry)
    copy.secrets.add('told-to-the-second-copy', 'copy')
    copy.literals.add('a literal')
    expect(secrets.redact('told-to-the-second-copy')).toBe('[REDACTED:copy]')
    expect(literals.has('a literal')).toBe(true)
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a label cannot break the JSON or the line it comes to stand in', () => {
  const registry = createSecretRegistry()
  registry.add('one-secret-of-many', 'a "label"\n\u001b[2J')
  expect(registry.redact('{"x":"one-secret-of-many"}')).toBe('{"x":"[REDACTED:a _label_2J]"}')
})

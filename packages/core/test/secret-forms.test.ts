import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createSecretRegistry } from '../src/secret-registry.ts'
import { forms } from './written-forms.ts'

const secretText = fc
  .string({ unit: 'grapheme', minLength: 8, maxLength: 120 })
  .filter((text) => text.length >= 8 && !/^(.)\1*$/s.test(text) && text.isWellFormed())
// Never the secret itself, as any text might be.
const surroundings = fc.string({ unit: fc.constantFrom('.', '漢', '\n', '"'), maxLength: 9 })
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

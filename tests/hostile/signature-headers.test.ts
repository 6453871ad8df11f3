import { McpAuthError } from '@mcpauth/core'
import { verifySignature } from '@mcpauth/rfc9421-signer'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fuzzRuns } from './fuzz.ts'

const piece = fc.constantFrom(
  'sig1',
  '=',
  '(',
  ')',
  '"@method"',
  '"@target-uri"',
  '"@query-param";name="x"',
  ';',
  'created=1618884473',
  'keyid="k"',
  'alg="ed25519"',
  ':dGVzdA==:',
  ',',
  ' ',
  '"',
  '\\',
  '?1',
  '*',
  '@1',
  '%"x"',
  '1.5',
  'é',
  '__proto__'
)
const field = fc.oneof(
  fc.array(piece, { maxLength: 30 }).map((parts) => parts.join('')),
  fc.string({ maxLength: 100 })
)

test('T15: no signature headers whatever make the verifier throw anything but its own error', async () => {
  const property = fc.asyncProperty(field, field, fc.option(field), async (input, signature, agent) => {
    const headers = {
      'signature-input': input,
      signature,
      'content-digest': input,
      ...(agent === null ? {} : { 'signature-agent': agent })
    }
    try {
      await verifySignature({ method: 'GET', url: 'https://h/', headers }, { keys: [], now: () => 1_618_884_480_000 } as never)
    } catch (error) {
      if (!McpAuthError.is(error)) throw error
      return true
    }
    return false
  })
  await fc.assert(property, fuzzRuns('structured fields', 1_000, 100_000))
  expect(Object.keys(Object.prototype)).toEqual([])
})

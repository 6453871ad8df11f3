import { expect, test } from 'vitest'
import { belongsToIssuer, checkClientIssuer } from '../src/issuer-binding.ts'

const server = new URL('https://mcp.example.com/mcp')
const as = 'https://as.example.com'

test.each<[string, boolean, string | undefined, string[]]>([
  ['the issuer that is named', true, as, [as]],
  ['one of several that are named', true, as, ['https://other.example', as]],
  ['an issuer that is not named', false, as, ['https://other.example']],
  ['an issuer where none is named', false, as, []],
  ['an issuer that is written in another way', false, as, [`${as}/`]],
  ['an issuer that is not named, although the server’s own is', false, as, ['https://mcp.example.com']],
  ['nobody, where the server names itself', true, undefined, ['https://mcp.example.com/tenant']],
  ['nobody, where the server is among those it names', true, undefined, [as, 'https://mcp.example.com']],
  ['nobody, where the server names another', false, undefined, [as]],
  ['nobody, where the server names its own name at another port', false, undefined, ['https://mcp.example.com:8443']],
  ['nobody, where what is named is no URL', false, undefined, ['mcp.example.com']],
  ['nobody, where none is named', false, undefined, []]
])('T2: tokens of %s belong here: %s', (_name, expected, issuer, issuers) => {
  expect(belongsToIssuer(issuer === undefined ? {} : { issuer }, issuers, server)).toBe(expected)
})

test('N15, N16: a client is used at the issuer where it is registered, to the letter, and where nobody knows', () => {
  expect(() => checkClientIssuer('mine', as, as)).not.toThrow()
  expect(() => checkClientIssuer('mine', undefined, as)).not.toThrow()
  for (const elsewhere of ['https://evil.example', `${as}/`, as.toUpperCase()]) {
    expect(() => checkClientIssuer('mine', as, elsewhere)).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_CLIENT_MISMATCH', message: expect.stringContaining(elsewhere) })
    )
  }
})

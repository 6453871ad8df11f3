import { createHash } from 'node:crypto'
import type { StoreKey } from '@mcpauth/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { storeFileName } from '../src/index.ts'
import { canonicalKey, describeKey } from '../src/store-key.ts'

const sha = (text: string): string => createHash('sha256').update(text).digest('hex')

test.each([
  [{ kind: 'server', url: 'https://mcp.example.com/mcp' }, sha('https://mcp.example.com/mcp')],
  [{ kind: 'server', url: 'https://mcp.example.com/' }, sha('https://mcp.example.com')],
  [{ kind: 'server', url: 'HTTPS://MCP.example.com:443/mcp#part' }, sha('https://mcp.example.com/mcp')],
  [{ kind: 'server', url: 'https://mcp.example.com/mcp', profile: 'work' }, sha('https://mcp.example.com/mcp\nwork')],
  [{ kind: 'login', url: 'https://mcp.example.com/mcp' }, `${sha('https://mcp.example.com/mcp')}.login`],
  [{ kind: 'client', issuer: 'https://as.example.com/' }, `clients/${sha('https://as.example.com/')}`],
  [{ kind: 'identity', issuer: 'https://idp.example.com', clientId: 'cli' }, `identities/${sha('https://idp.example.com\ncli')}`]
] as const)('%o has the name that other tools look for', (key, name) => {
  expect(storeFileName(key)).toBe(name)
})

test('issuers that differ only in a slash or in case are two issuers', () => {
  const names = ['https://as.example.com', 'https://as.example.com/', 'https://AS.example.com'].map((issuer) =>
    storeFileName({ kind: 'client', issuer })
  )
  expect(new Set(names).size).toBe(3)
})

test('no profile can reach the name of another server or leave the folder', () => {
  expect(() => storeFileName({ kind: 'server', url: 'https://a.example', profile: 'x\ny' })).toThrow('profile')
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), (profile) => {
      try {
        expect(storeFileName({ kind: 'server', url: 'https://a.example', profile })).toMatch(/^[0-9a-f]{64}$/)
      } catch (error) {
        expect(error).toMatchObject({ code: 'MCPAUTH_INVALID_OPTION' })
      }
    })
  )
})

test('what is not a URL is refused without being quoted', () => {
  expect(() => storeFileName({ kind: 'server', url: 'no url with s3cret' })).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.not.stringContaining('s3cret') })
  )
})

test.each<[StoreKey, string, StoreKey]>([
  [{ kind: 'server', url: 'https://A.example/' }, 'https://A.example/', { kind: 'server', url: 'https://a.example' }],
  [{ kind: 'server', url: 'https://a.example', profile: '' }, 'https://a.example', { kind: 'server', url: 'https://a.example' }],
  [
    { kind: 'server', url: 'https://a.example/#x', profile: 'work' },
    'https://a.example/#x (profile work)',
    { kind: 'server', url: 'https://a.example', profile: 'work' }
  ],
  [{ kind: 'login', url: 'https://a.example' }, 'the login at https://a.example', { kind: 'login', url: 'https://a.example' }],
  [
    { kind: 'login', url: 'https://a.example/', profile: 'work' },
    'the login at https://a.example/ (profile work)',
    { kind: 'login', url: 'https://a.example', profile: 'work' }
  ],
  [
    { kind: 'client', issuer: 'https://AS.example/' },
    'the client registered at https://AS.example/',
    { kind: 'client', issuer: 'https://AS.example/' }
  ],
  [
    { kind: 'identity', issuer: 'https://IDP.example/', clientId: 'cli' },
    'the identity at https://IDP.example/',
    { kind: 'identity', issuer: 'https://IDP.example/', clientId: 'cli' }
  ]
])('%o is called %s, and its canonical form is %o', (key, described, canonical) => {
  expect(describeKey(key)).toBe(described)
  expect(canonicalKey(key)).toEqual(canonical)
  expect(storeFileName(key)).toBe(storeFileName(canonical))
})

test('of a bad key the option is named', () => {
  expect(() => storeFileName({ kind: 'login', url: 'none' })).toThrow(/^option server:/)
  expect(() => canonicalKey({ kind: 'server', url: 'none' })).toThrow(/^option server:/)
  expect(() => storeFileName({ kind: 'server', url: 'https://a.example', profile: 'x\u0085' })).toThrow(/^option profile:/)
})

import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { storeFileName } from '../src/index.ts'

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

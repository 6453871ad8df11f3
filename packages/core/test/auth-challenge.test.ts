import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseChallenges } from '../src/index.ts'

const folder = join(process.env.MCPAUTH_VECTORS ?? '../shared/vectors', 'www-authenticate')
describe.skipIf(!existsSync(folder))('T15 official challenge vectors', () => {
  const vectors = existsSync(folder) ? JSON.parse(readFileSync(join(folder, 'oauth4webapi.json'), 'utf8')) : []
  for (const { description, header, expected } of vectors) {
    test(description, () => {
      expect(parseChallenges(header)).toEqual(expected ?? [])
    })
  }
})

const mcpVectors = join(folder, '../hostile/www-authenticate-mcp.json')

describe.skipIf(!existsSync(mcpVectors))('T15 MCP challenges', () => {
  const rows = existsSync(mcpVectors) ? JSON.parse(readFileSync(mcpVectors, 'utf8')) : []
  // Outside the grammar, but servers send it, and the URL goes through the address guard like any other: it is read where the vector says it may be ignored.
  const unquotedUrl = 'bearer RESOURCE_METADATA=https://a.example/x'
  for (const { h, resource_metadata, scope } of rows) {
    test(h, () => {
      const bearer = parseChallenges(h).find(({ scheme }) => scheme === 'bearer')
      expect(bearer?.parameters.resource_metadata ?? null).toBe(h === unquotedUrl ? 'https://a.example/x' : resource_metadata)
      expect(bearer?.parameters.scope ?? null).toBe(scope)
    })
  }
})

test('T15 several header lines, and a challenge that breaks the grammar among good ones', () => {
  expect(parseChallenges(['Basic realm="a"', 'Bearer scope="s", Bad realm="unclosed'])).toEqual([
    { scheme: 'basic', parameters: { realm: 'a' } },
    { scheme: 'bearer', parameters: { scope: 's' } }
  ])
  expect(parseChallenges(undefined)).toEqual([])
  expect(parseChallenges('Bearer __proto__="x", constructor="y"')[0]?.parameters).toMatchObject({ constructor: 'y' })
  expect(Object.prototype).not.toHaveProperty('x')
})

const basic = { scheme: 'basic', parameters: { realm: 'a' } }

test.each([
  ['two words behind a scheme', 'Bearer one two'],
  ['a quoted text behind a scheme', 'Bearer "one"'],
  ['a quoted text right behind a scheme', 'Bearer"one"'],
  ['a token68 right behind a scheme', 'Bearer/abc='],
  ['a parameter without a name', 'Bearer ="one"'],
  ['a parameter without a value', 'Bearer error="e", scope='],
  ['a value with something behind it', 'Bearer scope="s"x'],
  ['a word with something behind it', 'Bearer scope=s x'],
  ['a quoted text among parameters', 'Bearer scope="s", "one"'],
  ['a parameter behind a token68', 'Bearer abc==, scope="s"'],
  ['a parameter behind a scheme and a comma', 'Bearer, scope="s"']
])('T15 a challenge with %s is left out, and the one behind it is read: %s', (_what, broken) => {
  expect(parseChallenges(`${broken}, Basic realm="a"`)).toEqual([basic])
})

test.each(['  Basic realm="a"', ' ,, Basic realm="a" ,', '"one", Basic realm="a"', 'realm="one", Basic realm="a"', '\tBasic\trealm = "a"'])(
  'T15 what stands before a challenge does not hide it: %j',
  (header) => {
    expect(parseChallenges(header)).toEqual([basic])
  }
)

test('T15 a pair with a backslash stands for its second character, whatever that is', () => {
  expect(parseChallenges('Basic realm="a\\ \\"\\\\b"')[0]?.parameters.realm).toBe('a "\\b')
})

test('T15 a token68 is kept apart from parameters, and only a challenge with one has it', () => {
  const [negotiate, bare, bearer] = parseChallenges('Negotiate abc==, Basic, Bearer scope="s"')
  expect(negotiate).toEqual({ scheme: 'negotiate', parameters: {}, token68: 'abc==' })
  expect(bare).toEqual({ scheme: 'basic', parameters: {} })
  for (const challenge of [bare, bearer]) expect(Object.keys(challenge ?? {})).toEqual(['scheme', 'parameters'])
})

test('T15 a scheme alone is a challenge, also as the last word', () => {
  expect(parseChallenges('Bearer')).toEqual([{ scheme: 'bearer', parameters: {} }])
  expect(parseChallenges('Basic realm="a", Bearer ')).toEqual([basic, { scheme: 'bearer', parameters: {} }])
})

test('T15 a value without quotes is a token, or a URL as some servers send it', () => {
  expect(parseChallenges('Bearer error=invalid_token, resource_metadata=https://a.example/x?y=1, scope=read')).toEqual([
    { scheme: 'bearer', parameters: { error: 'invalid_token', resource_metadata: 'https://a.example/x?y=1', scope: 'read' } }
  ])
})

test('T15 spaces around an equals sign are passed over', () => {
  expect(parseChallenges('Basic realm = "a"')).toEqual([basic])
  expect(parseChallenges('Basic realm= "a", Bearer error="e", scope = "s"')).toEqual([
    basic,
    { scheme: 'bearer', parameters: { error: 'e', scope: 's' } }
  ])
})

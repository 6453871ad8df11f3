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

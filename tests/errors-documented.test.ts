import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const source = readFileSync(join(root, 'packages/core/src/errors.ts'), 'utf8')
const page = readFileSync(join(root, 'docs/errors.md'), 'utf8')

test('every error code has its section in docs/errors.md, and every section is of a code', () => {
  const codes = [...source.matchAll(/^ {2}\| '(MCPAUTH_[A-Z0-9_]+)'/gm)].map(([, code]) => code).sort()
  const sections = [...page.matchAll(/^## (MCPAUTH_[A-Z0-9_]+)$/gm)].map(([, code]) => code).sort()
  expect(codes.length).toBeGreaterThan(20)
  expect(sections).toEqual(codes)
})

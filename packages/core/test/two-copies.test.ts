import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { createSecretRegistry, literals, secrets } from '../src/secret-registry.ts'

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

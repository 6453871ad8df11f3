import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { secretFile, sourceFailed } from '../src/secret-source.ts'

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'mcpauth-test-'))
  onTestFinished(() => rmSync(path, { recursive: true }))
  return path
}

test('a secret’s file is read again when it is written anew, replaced, gone, or back', () => {
  const path = folder()
  const file = join(path, 'secret')
  writeFileSync(file, 'first\n')
  const read = secretFile(file)
  expect([read(), read()]).toEqual(['first', 'first'])
  writeFileSync(file, 'second')
  expect(read()).toBe('second')
  writeFileSync(join(path, 'next'), 'third!')
  renameSync(join(path, 'next'), file)
  expect(read()).toBe('third!')
  rmSync(file)
  expect(read).toThrow(expect.objectContaining({ code: 'MCPAUTH_CREDENTIAL_MISSING', message: `the file ${file} cannot be read (ENOENT)` }))
  writeFileSync(file, 'fourth')
  expect(read()).toBe('fourth')
})

test('T13: what a secret’s function throws is neither chained nor quoted; an error of ours is handed on', () => {
  const error = sourceFailed('the function get', 'as get', Object.assign(new Error('no vault takes hunter2'), { token: 'x' }))
  expect(error).toMatchObject({ code: 'MCPAUTH_CREDENTIAL_MISSING', message: 'the function get has thrown an error' })
  expect(error.hint).toContain('look at the function given as get')
  expect(error.cause).toBeUndefined()
  expect(sourceFailed('another', 'elsewhere', error)).toBe(error)
})

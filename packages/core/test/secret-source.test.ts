import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import fs, { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { secretFile, sourceFailed, warnOfReadableKey } from '../src/secret-source.ts'

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

test('a secret’s file that has not changed is not read again', () => {
  const file = join(folder(), 'secret')
  writeFileSync(file, 'first')
  const reading = vi.spyOn(fs, 'readFileSync')
  onTestFinished(() => reading.mockRestore())
  const read = secretFile(file)
  expect([read(), read(), read()]).toEqual(['first', 'first', 'first'])
  expect(reading).toHaveBeenCalledTimes(1)
})

test.each([
  ['one newline at the end', 'a secret\n', 'a secret'],
  ['one Windows newline at the end', 'a secret\r\n', 'a secret'],
  ['the first of two newlines at the end', 'a secret\n\n', 'a secret\n'],
  ['no newline in the middle', 'two\nlines', 'two\nlines'],
  ['nothing of 64 KiB', 'x'.repeat(65_536), 'x'.repeat(65_536)]
])('of a secret’s file is taken away %s', (_what, content, secret) => {
  const file = join(folder(), 'secret')
  writeFileSync(file, content)
  expect(secretFile(file)()).toBe(secret)
})

test('T13: a secret’s file that is none is an error that names it and quotes nothing', () => {
  const path = folder()
  const file = join(path, 'secret')
  const missing = (message: string) => expect.objectContaining({ code: 'MCPAUTH_CREDENTIAL_MISSING', message })
  expect(secretFile(path)).toThrow(missing(`the file ${path} is not a file`))
  writeFileSync(file, 'x'.repeat(65_537))
  expect(secretFile(file)).toThrow(missing(`the file ${file} is larger than 64 KiB`))
  for (const empty of ['', '\n', '\r\n']) {
    writeFileSync(file, empty)
    expect(secretFile(file)).toThrow(missing(`the file ${file} is empty`))
  }
  const failing = vi.spyOn(fs, 'statSync').mockImplementation(() => {
    throw new Error('of some other kind')
  })
  onTestFinished(() => failing.mockRestore())
  expect(secretFile(file)).toThrow(missing(`the file ${file} cannot be read (unknown error)`))
})

test('a key that others can read is told, with its mode, where files have modes', () => {
  const file = join(folder(), 'key')
  writeFileSync(file, 'a key')
  const events: unknown[] = []
  const listen = (event: unknown): void => void events.push(event)
  subscribe('mcpauth:key:warning', listen)
  onTestFinished(() => void unsubscribe('mcpauth:key:warning', listen))
  const told = (mode: number): unknown => {
    chmodSync(file, mode)
    warnOfReadableKey(file)
    return (events.pop() as { mode?: string } | undefined)?.mode
  }
  expect([0o600, 0o400, 0o000].map(told)).toEqual([undefined, undefined, undefined])
  expect([0o640, 0o604, 0o660, 0o644, 0o044, 0o001].map(told)).toEqual(['0640', '0604', '0660', '0644', '0044', '0001'])
  const platform = Object.getOwnPropertyDescriptor(process, 'platform') as PropertyDescriptor
  Object.defineProperty(process, 'platform', { ...platform, value: 'win32' })
  onTestFinished(() => void Object.defineProperty(process, 'platform', platform))
  expect(told(0o644)).toBeUndefined()
})

test('T13: what a secret’s function throws is neither chained nor quoted; an error of ours is handed on', () => {
  const error = sourceFailed('the function get', 'as get', Object.assign(new Error('no vault takes hunter2'), { token: 'x' }))
  expect(error).toMatchObject({ code: 'MCPAUTH_CREDENTIAL_MISSING', message: 'the function get has thrown an error' })
  expect(error.hint).toContain('look at the function given as get')
  expect(error.cause).toBeUndefined()
  expect(sourceFailed('another', 'elsewhere', error)).toBe(error)
})

import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { spawnGuard, storeFileName } from '../src/index.ts'
import { temporaryFolder } from './temporary-folder.ts'

const key = { kind: 'server', url: 'https://mcp.example.com/mcp' } as const

test('one holder at a time may start a helper, and another one when it is done', () => {
  const root = join(temporaryFolder(), 'made')
  const first = spawnGuard(root, key).tryTake()
  expect(first).toBeDefined()
  expect(spawnGuard(root, key).tryTake()).toBeUndefined()
  expect(spawnGuard(root, { ...key, profile: 'other' }).tryTake()).toBeDefined()
  first?.release()
  const second = spawnGuard(root, key).tryTake()
  expect(second).toBeDefined()
  second?.release()
  expect(lstatSync(join(root, `${storeFileName(key)}.spawn.guard`)).mode & 0o777).toBe(0o600)
})

test('without node:sqlite everyone may start one: the lock of the record still lets one at a time ask', () => {
  const without = vi.spyOn(process, 'getBuiltinModule').mockImplementation(() => {
    throw new Error('No such built-in module')
  })
  onTestFinished(() => without.mockRestore())
  const root = join(temporaryFolder(), 'made')
  const [first, second] = [spawnGuard(root, key).tryTake(), spawnGuard(root, key).tryTake()]
  expect([first?.intact(), second?.intact(), second?.identity]).toEqual([true, true, ''])
  expect(() => first?.release()).not.toThrow()
})

import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { fileStore, spawnGuard, storeFileName } from '../src/index.ts'
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

test('T8: who has waited too long is told who holds the lock of the record, and of nobody when it is free', async () => {
  const root = join(temporaryFolder(), 'made')
  const { timeout } = spawnGuard(root, key)
  const free = { code: 'MCPAUTH_LOCK_TIMEOUT', message: `the lock of ${key.url} was not free within 70 ms: its holder left no word` }
  expect(timeout(70)).toMatchObject(free)
  await fileStore({ root }).transact(
    key,
    async () => expect(timeout(70)).toMatchObject({ message: expect.stringContaining(`process ${process.pid} on `) }),
    { deadlineMs: 5_000 }
  )
  expect(timeout(70)).toMatchObject(free)
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

import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type KernelLocks, kernelLocks } from '../src/kernel-lock.ts'
import { identityOf, lstatOf } from '../src/private-file.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { userIs } from './user.ts'

const locks = kernelLocks() as KernelLocks
const isRoot = process.geteuid?.() === 0
const guardPath = (): string => join(temporaryFolder(), 'x.guard')

test('one holder at a time has the lock, and the next one when it is given back', () => {
  const path = guardPath()
  const first = locks.tryTake(path)
  expect(first?.identity).toBe(identityOf(lstatOf(path) as never))
  expect(locks.tryTake(path)).toBeUndefined()
  expect(locks.tryTake(guardPath())?.release()).toBeUndefined()
  first?.release()
  const second = locks.tryTake(path)
  expect(second?.identity).toBe(first?.identity)
  second?.release()
  expect(readdirSync(join(path, '..'))).toEqual(['x.guard'])
  expect(lstatSync(path)).toMatchObject({ size: 512, mode: 0o100600 })
})

test('a guard that was removed, or replaced by another, is not intact any more', () => {
  const path = guardPath()
  const lock = locks.tryTake(path)
  expect(lock?.intact()).toBe(true)
  renameSync(path, `${path}.old`)
  expect(lock?.intact()).toBe(false)
  writeFileSync(path, 'another')
  expect(lock?.intact()).toBe(false)
  lock?.release()
})

test('without node:sqlite there are no kernel locks', () => {
  expect(kernelLocks(() => undefined)).toBeUndefined()
})

describe('T11: a guard that cannot exclude anybody is refused', () => {
  test.each<[string, (path: string) => void, string]>([
    ['a link', (path) => symlinkSync(guardPath(), path), 'is a symbolic link'],
    ['a folder', (path) => mkdirSync(path), 'is not a regular file'],
    ['a damaged file', (path) => writeFileSync(path, 'x'.repeat(512), { mode: 0o600 }), 'is damaged']
  ])('T11: %s', (_what, plant, fact) => {
    const path = guardPath()
    plant(path)
    expect(() => locks.tryTake(path)).toThrow(expect.objectContaining({ code: 'MCPAUTH_STORE_UNSAFE', message: `${path} ${fact}` }))
  })

  test.skipIf(!isRoot)('T11: one of another user', () => {
    const path = guardPath()
    locks.tryTake(path)?.release()
    chownSync(path, 65534, 65534)
    expect(() => locks.tryTake(path)).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_STORE_UNSAFE', message: `${path} belongs to another user` })
    )
  })

  test.each([0o644, 0o400, 0o660])('T11: one of mode %o is set right, since whoever opens it can hold it for ever', (mode) => {
    const path = guardPath()
    locks.tryTake(path)?.release()
    chmodSync(path, mode)
    locks.tryTake(path)?.release()
    expect(lstatSync(path).mode & 0o777).toBe(0o600)
  })

  test('one that cannot be made is a typed error with the code of the system', () => {
    const path = join(temporaryFolder(), 'absent', 'x.guard')
    expect(() => locks.tryTake(path)).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_STORE_UNAVAILABLE', message: `making ${path} failed: ENOENT` })
    )
  })
})

/** A database that fails, or that lets something happen while it is locked; counts what is left open. */
function databaseThat(exec: (sql: string) => void): { locks: KernelLocks; open(): number; sql: string[] } {
  let open = 0
  const sql: string[] = []
  class DatabaseSync {
    constructor(path: URL, options: object) {
      // Never creates: a database of zero bytes would write a journal at every lock.
      expect(path.searchParams.get('mode')).toBe('rw')
      expect(options).toMatchObject({ timeout: 0 })
      open += 1
    }
    exec(statement: string): void {
      sql.push(statement)
      exec(statement)
    }
    close(): void {
      open -= 1
    }
  }
  return { locks: kernelLocks(() => ({ DatabaseSync }) as never) as KernelLocks, open: () => open, sql }
}

test('T12: a guard with a bit flipped locks, or says that it is damaged and what to do about it', () => {
  const path = guardPath()
  locks.tryTake(path)?.release()
  const whole = readFileSync(path)
  for (let bit = 0; bit < whole.length * 8; bit += 1) {
    const bytes = Buffer.from(whole)
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
    writeFileSync(path, bytes)
    try {
      locks.tryTake(path)?.release()
    } catch (error) {
      expect(error, `bit ${bit}`).toMatchObject({ code: 'MCPAUTH_STORE_UNSAFE', hint: expect.stringContaining('delete it') })
    }
  }
  writeFileSync(path, whole)
  const last = locks.tryTake(path)
  expect(last).toBeDefined()
  last?.release()
})

describe('what SQLite says', () => {
  const failing = (errcode: unknown): ReturnType<typeof databaseThat> =>
    databaseThat(() => {
      throw Object.assign(new Error('sqlite'), { errcode })
    })

  test.each([5, 5 | (1 << 8), 5 | (3 << 8)])('that it is busy (%i), in any of its ways: somebody else holds the lock', (errcode) => {
    const database = failing(errcode)
    expect(database.locks.tryTake(guardPath())).toBeUndefined()
    expect(database.open()).toBe(0)
  })

  test.each([
    [8, 'MCPAUTH_STORE_UNSAFE'],
    [11, 'MCPAUTH_STORE_UNSAFE'],
    [26, 'MCPAUTH_STORE_UNSAFE'],
    [10, 'MCPAUTH_STORE_UNAVAILABLE'],
    [8 | (4 << 8), 'MCPAUTH_STORE_UNAVAILABLE'],
    ['5', 'MCPAUTH_STORE_UNAVAILABLE'],
    [undefined, 'MCPAUTH_STORE_UNAVAILABLE']
  ])('anything else (%s) is %s, and nothing is left open', (errcode, code) => {
    const database = failing(errcode)
    expect(() => database.locks.tryTake(guardPath())).toThrow(expect.objectContaining({ code }))
    expect(database.open()).toBe(0)
  })
})

test('a database that cannot even be opened is a typed error', () => {
  class DatabaseSync {
    constructor() {
      throw Object.assign(new Error('unable to open'), { errcode: 14 })
    }
  }
  const closed = kernelLocks(() => ({ DatabaseSync }) as never) as KernelLocks
  expect(() => closed.tryTake(guardPath())).toThrow(expect.objectContaining({ code: 'MCPAUTH_STORE_UNAVAILABLE' }))
})

test.skipIf(process.platform !== 'linux')('no file stays open behind a guard that is made', () => {
  const open = (): number => readdirSync('/proc/self/fd').length
  const before = open()
  for (let round = 0; round < 50; round += 1) locks.tryTake(guardPath())?.release()
  expect(open()).toBeLessThan(before + 25)
})

test('where there are no owners a guard is taken as it is', () => {
  const path = guardPath()
  locks.tryTake(path)?.release()
  chmodSync(path, 0o644)
  if (isRoot) chownSync(path, 65534, 65534)
  userIs(undefined)
  const lock = locks.tryTake(path)
  expect(lock).toBeDefined()
  lock?.release()
  expect(lstatSync(path).mode & 0o777).toBe(0o644)
})

test('nothing is ever committed, and the file is closed also when the way back fails', () => {
  const database = databaseThat((sql) => {
    if (sql === 'ROLLBACK') throw new Error('no way back')
  })
  const lock = database.locks.tryTake(guardPath())
  expect(() => lock?.release()).toThrow('no way back')
  expect([database.open(), database.sql]).toEqual([0, ['BEGIN IMMEDIATE', 'ROLLBACK']])
})

test('a guard that was replaced between the look at it and the lock excludes nobody: it is let go', () => {
  const path = guardPath()
  const database = databaseThat((sql) => {
    if (sql !== 'BEGIN IMMEDIATE') return
    unlinkSync(path)
    writeFileSync(path, 'another', { mode: 0o600 })
  })
  expect(database.locks.tryTake(path)).toBeUndefined()
  expect([database.open(), database.sql]).toEqual([0, ['BEGIN IMMEDIATE', 'ROLLBACK']])
})

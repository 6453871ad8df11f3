import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { folderLocks } from '../src/lock-folder.ts'
import { type LockOwner, readOwner, thisProcess, writeOwner } from '../src/lock-owner.ts'
import { identityOf, lstatOf } from '../src/private-file.ts'
import { temporaryFolder } from './temporary-folder.ts'

const wallMs = 1_700_000_000_000
const onLinux = describe.skipIf(process.platform !== 'linux')

/** A place for a lock, and clocks that stand still. */
function setUp() {
  const folder = temporaryFolder()
  const clock = { wallMs, monotonicMs: 1_000_000 }
  const path = join(folder, 'x.lock')
  const ownerPath = join(folder, 'x.owner')
  const locks = folderLocks({ staleMs: 30_000, now: () => clock.wallMs, monotonicMs: () => clock.monotonicMs })
  const tryTake = (guard?: string) => locks.tryTake(path, ownerPath, guard)
  const identity = (): string => identityOf(lstatOf(path) as never)
  /** Somebody else's `.lock`, with the word of an owner if one is given. */
  function foreign(owner?: Partial<LockOwner>): void {
    mkdirSync(path)
    if (owner) writeOwner(ownerPath, { ...thisProcess(), guard: '', lock: identity(), ...owner })
  }
  return { folder, path, ownerPath, clock, tryTake, identity, foreign }
}
const mtimeOf = (path: string): number => lstatSync(path).mtimeMs

test('a lock is a private folder with the time of the wall clock, and a word that names it and its guard', () => {
  const { path, ownerPath, tryTake, identity, folder } = setUp()
  const lock = tryTake('1:2:3')
  expect(lock?.recovered).toBe(false)
  expect([mtimeOf(path), lstatSync(path).mode & 0o777]).toEqual([wallMs, 0o700])
  expect(readOwner(ownerPath)).toEqual({ ...thisProcess(), guard: '1:2:3', lock: identity() })
  expect(tryTake('1:2:3')).toBeUndefined()
  lock?.release()
  expect(readdirSync(folder)).toEqual(['x.owner'])
  tryTake()
  expect(readOwner(ownerPath)?.guard).toBe('')
})

test('the heart writes the time down, and the lock is intact after it', () => {
  const { path, clock, tryTake } = setUp()
  const lock = tryTake()
  clock.wallMs += 5_000
  expect([lock?.intact(), lock?.beat(), lock?.intact(), mtimeOf(path)]).toEqual([true, true, true, wallMs + 5_000])
})

test('a time that another tool wrote, another folder, or none: the lock is not intact, does not beat, and leaves what is there', () => {
  for (const happens of ['time', 'other', 'none']) {
    const { path, tryTake, folder } = setUp()
    const lock = tryTake()
    if (happens === 'time') utimesSync(path, 1_800_000_000, 1_800_000_000)
    else renameSync(path, join(folder, 'away'))
    if (happens === 'other') {
      mkdirSync(path)
      utimesSync(path, wallMs / 1000, wallMs / 1000)
    }
    const before = happens === 'none' ? undefined : mtimeOf(path)
    expect([lock?.intact(), lock?.beat()], happens).toEqual([false, false])
    lock?.release()
    expect(existsSync(path) ? mtimeOf(path) : undefined, happens).toBe(happens === 'time' ? undefined : before)
  }
})

test('without its word a lock is not taken: the folder goes again', () => {
  const { path, ownerPath, tryTake } = setUp()
  mkdirSync(ownerPath)
  expect(() => tryTake()).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_STORE_UNAVAILABLE', message: expect.stringContaining(ownerPath) })
  )
  expect(existsSync(path)).toBe(false)
})

test('what cannot be made is a typed error with the code of the system', () => {
  const folder = join(temporaryFolder(), 'absent')
  const locks = folderLocks({ staleMs: 100, now: Date.now, monotonicMs: () => 0 })
  expect(() => locks.tryTake(join(folder, 'x.lock'), join(folder, 'x.owner'), undefined)).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_STORE_UNAVAILABLE', message: expect.stringContaining('ENOENT') })
  )
})

test.each<[string, (path: string) => void, string]>([
  ['a link', (path) => symlinkSync(temporaryFolder(), path), 'is a symbolic link'],
  ['a file', (path) => writeFileSync(path, ''), 'is not a folder']
])('T11: %s in its place is refused and stays', (_what, plant, fact) => {
  const { path, tryTake } = setUp()
  plant(path)
  expect(() => tryTake()).toThrow(expect.objectContaining({ code: 'MCPAUTH_STORE_UNSAFE', message: `${path} ${fact}` }))
  expect(lstatOf(path)).toBeDefined()
})

onLinux('the lock of somebody else', () => {
  test('T8: of a process that is dead is removed at once, and the one who does so is told', () => {
    const { foreign, tryTake, folder } = setUp()
    foreign({ pid: 2 ** 30 })
    expect(tryTake()?.recovered).toBe(true)
    expect(readdirSync(folder).sort()).toEqual(['x.lock', 'x.owner'])
  })

  test.each([
    ['nobody has a kernel lock', '', undefined],
    ['it has a kernel lock and we have none', '1:2:3', undefined],
    ['it has none and we have one', '', '1:2:3'],
    ['it has one on a guard that was deleted since', '1:1:1', '1:2:3']
  ])('T8: of a process that lives stays for ever where %s', (_name, guard, ours) => {
    const { foreign, tryTake, clock, path } = setUp()
    foreign({ guard })
    const { ctimeMs } = lstatSync(path)
    for (let round = 0; round < 3; round += 1) {
      expect(tryTake(ours)).toBeUndefined()
      // Not even moved away and back.
      expect(lstatSync(path).ctimeMs).toBe(ctimeMs)
      clock.monotonicMs += 1_000_000
    }
  })

  test('T8: of a process that lives is judged by its stillness when the guard that it held is ours: it has let go of that', () => {
    const { foreign, tryTake, clock } = setUp()
    foreign({ guard: '1:2:3' })
    expect(tryTake('1:2:3')).toBeUndefined()
    clock.monotonicMs += 30_000
    expect(tryTake('1:2:3')?.recovered).toBe(true)
  })

  test('T8: with a word about another lock is judged by its stillness, as one without', () => {
    const { foreign, tryTake } = setUp()
    foreign({ pid: 2 ** 30, lock: 'another' })
    expect(tryTake()).toBeUndefined()
  })

  test('T8: of another machine is judged by its stillness', () => {
    const { foreign, tryTake, clock } = setUp()
    foreign({ pid: 2 ** 30, host: 'another' })
    expect(tryTake()).toBeUndefined()
    clock.monotonicMs += 30_000
    expect(tryTake()?.recovered).toBe(true)
  })
})

describe('what happens between two steps', () => {
  /** A lock whose clocks are looked at just when something happens. */
  function disturbed(clock: 'now' | 'monotonicMs') {
    const { path, ownerPath, foreign, folder } = setUp()
    const state = { happen: (): void => undefined, monotonicMs: 0 }
    const tick = (which: string, value: number): number => {
      if (which === clock) state.happen()
      return value
    }
    const locks = folderLocks({
      staleMs: 30_000,
      now: () => tick('now', wallMs),
      monotonicMs: () => tick('monotonicMs', state.monotonicMs)
    })
    return { path, foreign, folder, state, tryTake: () => locks.tryTake(path, ownerPath, undefined) }
  }

  test('T8: an orphan that gives way to a new lock just before it is removed: the new one is put back', () => {
    const { path, foreign, folder, state, tryTake } = disturbed('monotonicMs')
    foreign()
    tryTake()
    state.monotonicMs = 30_000
    state.happen = () => {
      rmdirSync(path)
      mkdirSync(join(folder, 'keeps-the-inode'))
      mkdirSync(path)
      utimesSync(path, 1_500_000_000, 1_500_000_000)
    }
    expect(tryTake()).toBeUndefined()
    expect(mtimeOf(path)).toBe(1_500_000_000_000)
    expect(readdirSync(folder).filter((file) => file.endsWith('.tmp'))).toEqual([])
  })

  test('T8: an orphan that goes just before it is removed: the lock is free', () => {
    const { path, foreign, state, tryTake } = disturbed('monotonicMs')
    foreign()
    tryTake()
    state.monotonicMs = 30_000
    state.happen = () => rmdirSync(path)
    expect(tryTake()?.intact()).toBe(true)
  })

  test('T8: a lock that goes while its time is set is not taken, and does not beat', () => {
    const { path, state, tryTake } = disturbed('now')
    const lock = tryTake()
    state.happen = () => rmdirSync(path)
    expect(lock?.beat()).toBe(false)
    expect(existsSync(path)).toBe(false)
    expect(tryTake()).toBeUndefined()
  })
})

describe('a lock without a word', () => {
  test('T8: is removed when it has stood still for staleMs by the monotonic clock, whatever the wall clock says', () => {
    const { foreign, tryTake, clock } = setUp()
    foreign()
    clock.wallMs += 86_400_000
    expect(tryTake()).toBeUndefined()
    clock.monotonicMs += 29_999
    expect(tryTake()).toBeUndefined()
    clock.monotonicMs += 1
    expect(tryTake()?.recovered).toBe(true)
  })

  test('T8: counts anew when its heart beats, and when it is another one', () => {
    const { foreign, tryTake, clock, path, folder } = setUp()
    foreign()
    tryTake()
    clock.monotonicMs += 29_999
    utimesSync(path, 1_600_000_000, 1_600_000_000)
    expect(tryTake()).toBeUndefined()
    clock.monotonicMs += 29_999
    expect(tryTake()).toBeUndefined()
    // Another folder with the same time.
    renameSync(path, join(folder, 'away'))
    foreign()
    utimesSync(path, 1_600_000_000, 1_600_000_000)
    clock.monotonicMs += 1
    expect(tryTake()).toBeUndefined()
    clock.monotonicMs += 30_000
    expect(tryTake()?.recovered).toBe(true)
  })

  test('T8: is counted from its own first sight, not from that of one we had ourselves before', () => {
    const { foreign, tryTake, clock, path } = setUp()
    foreign()
    tryTake()
    rmdirSync(path)
    tryTake()?.release()
    foreign()
    clock.monotonicMs += 30_000
    expect(tryTake()).toBeUndefined()
  })

  test('T11: that holds something is moved aside whole and refused', () => {
    const { foreign, tryTake, clock, path, folder } = setUp()
    foreign()
    tryTake()
    writeFileSync(join(path, 'somebody-s'), 'x')
    tryTake()
    clock.monotonicMs += 30_000
    expect(() => tryTake()).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_STORE_UNSAFE', message: expect.stringContaining('is not empty') })
    )
    const [aside] = readdirSync(folder) as [string]
    expect(aside).toMatch(/^x\.lock\.[0-9a-f-]{36}\.tmp$/)
    expect(readdirSync(join(folder, aside))).toEqual(['somebody-s'])
  })
})

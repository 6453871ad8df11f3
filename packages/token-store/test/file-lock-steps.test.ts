import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, rmdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StoreKey } from '@mcpauth/core'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { type FileLockOptions, fileLock, storeFileName } from '../src/index.ts'
import type { KernelLock, KernelLocks } from '../src/kernel-lock.ts'
import { thisProcess, writeOwner } from '../src/lock-owner.ts'
import { identityOf, lstatOf } from '../src/private-file.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { eventsOn } from './warnings.ts'

const key: StoreKey = { kind: 'server', url: 'https://mcp.example.com/mcp' }
const name = storeFileName(key)
const timeout = expect.objectContaining({ code: 'MCPAUTH_LOCK_TIMEOUT' })

interface KernelState {
  loads: number
  tries: number
  held: number
  intact: boolean | 'unknown'
}

/** Kernel locks whose holder is said by `free`; counts. */
function kernel(free: () => boolean = () => true): { state: KernelState; probe: { kernelLocks(): KernelLocks } } {
  const state: KernelState = { loads: 0, tries: 0, held: 0, intact: true }
  const lock: KernelLock = {
    identity: '1:2:3',
    intact: () => {
      if (state.intact === 'unknown') throw new Error('not to be seen')
      return state.intact
    },
    release: () => {
      state.held -= 1
    }
  }
  const tryTake = (): KernelLock | undefined => {
    state.tries += 1
    if (!free()) return undefined
    state.held += 1
    return lock
  }
  const kernelLocks = (): KernelLocks => {
    state.loads += 1
    return { tryTake }
  }
  return { state, probe: { kernelLocks } }
}

/** Somebody else's `.lock`, without a word. */
function foreignLock(root: string): string {
  const path = join(root, `${name}.lock`)
  mkdirSync(path, { recursive: true })
  return path
}

test('both locks are held while work runs, and given back whatever it does', async () => {
  const root = temporaryFolder()
  const { state, probe } = kernel()
  const lock = fileLock({ root, probe })
  const held = (): unknown[] => [state.held, existsSync(join(root, `${name}.lock`))]
  expect(await lock.hold(key, async () => held(), { deadlineMs: 0 })).toEqual([1, true])
  await expect(lock.hold(key, () => Promise.reject(new Error('work')), { deadlineMs: 0 })).rejects.toThrow('work')
  expect(held()).toEqual([0, false])
  expect(state.loads).toBe(1)
})

test('the steps of a critical section come in their order, also around a work that fails', async () => {
  const steps: string[] = []
  const { probe } = kernel()
  const at = (point: string): void => void steps.push(point)
  const lock = fileLock({ root: temporaryFolder(), probe: { ...probe, at } })
  const work = async (): Promise<never> => {
    steps.push('work')
    throw new Error('work')
  }
  await lock.hold(key, work, { deadlineMs: 0 }).catch(() => undefined)
  expect(steps).toEqual(['lock-taken', 'work', 'before-release'])
})

describe('a lock that somebody else holds', () => {
  test('T8: is tried at least once, then until the deadline, and the .lock is not touched without the guard', async () => {
    const root = temporaryFolder()
    const { state, probe } = kernel(() => false)
    await expect(fileLock({ root, probe }).hold(key, async () => 0, { deadlineMs: 0 })).rejects.toEqual(timeout)
    expect(state.tries).toBe(1)
    let nowMs = 0
    const monotonicMs = (): number => {
      nowMs += 10
      return nowMs
    }
    await expect(fileLock({ root, probe: { ...probe, monotonicMs } }).hold(key, async () => 0, { deadlineMs: 95 })).rejects.toMatchObject({
      code: 'MCPAUTH_LOCK_TIMEOUT',
      message: expect.stringContaining('95 ms')
    })
    expect(state.tries).toBeGreaterThan(3)
    expect(readdirSync(root)).toEqual([])
  })

  test('T8: is taken when it comes free', async () => {
    const { state, probe } = kernel(() => state.tries === 4)
    expect(await fileLock({ root: temporaryFolder(), probe }).hold(key, async () => 'in', { deadlineMs: 10_000 })).toBe('in')
  })

  test('T8: while a foreign .lock is waited for, the guard stays ours, and it is given back at the end of the time', async () => {
    const root = temporaryFolder()
    const { state, probe } = kernel()
    const path = foreignLock(root)
    await expect(fileLock({ root, probe }).hold(key, async () => 0, { deadlineMs: 40 })).rejects.toMatchObject({
      message: expect.stringContaining('left no word')
    })
    expect([state.tries, state.held]).toEqual([1, 0])
    rmdirSync(path)
  })

  test('T8: is named by the word beside it only when that is about the lock that stands there', async () => {
    const root = temporaryFolder()
    const { probe } = kernel()
    const path = foreignLock(root)
    const said = async (lock: string): Promise<string> => {
      writeOwner(join(root, `${name}.owner`), { ...thisProcess(), boot: 'another', pid: 4711, guard: '', lock })
      return await fileLock({ root, probe })
        .hold(key, async () => 'taken', { deadlineMs: 0 })
        .catch((error: Error) => error.message)
    }
    expect(await said(identityOf(lstatOf(path) as never))).toContain('process 4711')
    expect(await said('1:2:3')).toContain('left no word')
  })

  test('in this process is waited for in a line, and the one who is in it is named', async () => {
    const root = temporaryFolder()
    const lock = fileLock({ root, probe: kernel().probe })
    const { promise, resolve } = Promise.withResolvers<void>()
    const first = lock.hold(key, () => promise, { deadlineMs: 0 })
    await expect(lock.hold(key, async () => 0, { deadlineMs: 1 })).rejects.toMatchObject({
      code: 'MCPAUTH_LOCK_TIMEOUT',
      message: expect.stringContaining(`process ${process.pid}`)
    })
    resolve()
    await first
    expect(await lock.hold(key, async () => 'free', { deadlineMs: 0 })).toBe('free')
  })

  test('T8: a failure to get it leaves the line free for the next one', async () => {
    const root = temporaryFolder()
    let free = false
    const lock = fileLock({ root, probe: kernel(() => free).probe })
    await expect(lock.hold(key, async () => 0, { deadlineMs: 0 })).rejects.toEqual(timeout)
    free = true
    expect(await lock.hold(key, async () => 'in', { deadlineMs: 0 })).toBe('in')
  })
})

describe('a waiter', () => {
  test('that goes away before is not let in, and one that goes while it waits gives back what it had', async () => {
    const root = temporaryFolder()
    const { state, probe } = kernel()
    const lock = fileLock({ root, probe })
    const gone = AbortSignal.abort(new Error('gone'))
    await expect(lock.hold(key, async () => 0, { deadlineMs: 100, waiter: gone })).rejects.toThrow('gone')
    expect(state.tries).toBe(0)
    const path = foreignLock(root)
    const caller = new AbortController()
    const waiting = lock.hold(key, async () => 'in', { deadlineMs: 60_000, waiter: caller.signal })
    await vi.waitUntil(() => state.held === 1)
    caller.abort(new Error('gone later'))
    await expect(waiting).rejects.toThrow('gone later')
    expect(state.held).toBe(0)
    rmdirSync(path)
    expect(await lock.hold(key, async () => 'in', { deadlineMs: 0 })).toBe('in')
  })
})

test('the heart of a holder beats as long as it holds, with a kernel lock or without, and no longer', async () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  for (const probe of [kernel().probe, { kernelLocks: () => undefined }]) {
    const root = temporaryFolder()
    let nowMs = 1_000_000
    const timeMs = (): number => lstatSync(join(root, `${name}.lock`)).mtimeMs
    await fileLock({ root, probe, updateMs: 5_000, now: () => nowMs }).hold(
      key,
      async (held) => {
        const { lost } = held
        for (const at of [2_000_000, 3_000_000]) {
          nowMs = at
          vi.advanceTimersByTime(5_000)
          expect([timeMs(), lost.aborted]).toEqual([at, false])
        }
        vi.advanceTimersByTime(4_999)
        expect(vi.getTimerCount()).toBe(1)
      },
      { deadlineMs: 0 }
    )
    expect(vi.getTimerCount()).toBe(0)
  }
})

test('a lock that nobody can look at is taken for lost', async () => {
  for (const looks of [true, false]) {
    const { state, probe } = kernel()
    await fileLock({ root: temporaryFolder(), probe, updateMs: 10 }).hold(
      key,
      async (held) => {
        const { lost } = held
        state.intact = 'unknown'
        if (looks) expect(held.lost.aborted).toBe(true)
        await vi.waitUntil(() => lost.aborted)
      },
      { deadlineMs: 0 }
    )
  }
})

test('T11: a root that others may enter is tightened and told of', async () => {
  const root = temporaryFolder()
  chmodSync(root, 0o755)
  const warnings = eventsOn('mcpauth:store:warning')
  await fileLock({ root, probe: kernel().probe }).hold(key, async () => 0, { deadlineMs: 0 })
  expect(warnings).toEqual([{ problem: 'wide-mode', path: root, mode: '755' }])
})

describe('a lock that is lost in spite of everything', () => {
  test.each<[string, (root: string, state: KernelState) => unknown]>([
    ['the guard is another one', (_root, state) => Object.assign(state, { intact: false })],
    ['the .lock was touched', (root) => utimesSync(join(root, `${name}.lock`), 1, 1)],
    ['the .lock is gone', (root) => rmdirSync(join(root, `${name}.lock`))]
  ])('is told at the next look, and at the next beat of the heart: %s', async (_what, happen) => {
    for (const looks of [true, false]) {
      const root = temporaryFolder()
      const { state, probe } = kernel()
      await fileLock({ root, probe, updateMs: 10 }).hold(
        key,
        async (held) => {
          const { lost } = held
          expect(lost.aborted).toBe(false)
          happen(root, state)
          if (looks) expect(held.lost.aborted).toBe(true)
          await vi.waitUntil(() => lost.aborted)
          expect(held.lost).toBe(lost)
          expect(lost.reason).toMatchObject({
            code: 'MCPAUTH_STORE_UNAVAILABLE',
            message: expect.stringContaining(join(root, `${name}.lock`)),
            hint: expect.any(String)
          })
        },
        { deadlineMs: 0 }
      )
    }
  })

  test('without a kernel lock the .lock alone tells', async () => {
    const root = temporaryFolder()
    const seen = await fileLock({ root, probe: { kernelLocks: () => undefined } }).hold(
      key,
      async (held) => {
        const before = held.lost.aborted
        utimesSync(join(root, `${name}.lock`), 1, 1)
        return [before, held.lost.aborted]
      },
      { deadlineMs: 0 }
    )
    expect(seen).toEqual([false, true])
  })
})

test('a .lock that cannot be removed is told of, and the result of the work stands', async () => {
  const root = temporaryFolder()
  const warnings = eventsOn('mcpauth:lock:warning')
  const { state, probe } = kernel()
  const path = join(root, `${name}.lock`)
  const work = async (): Promise<string> => {
    writeFileSync(join(path, 'planted'), '')
    return 'done'
  }
  expect(await fileLock({ root, probe }).hold(key, work, { deadlineMs: 0 })).toBe('done')
  expect(warnings).toEqual([{ problem: 'release-failed', path, code: 'ENOTEMPTY' }])
  expect(state.held).toBe(0)
})

test('T8: what a dead holder left half written goes with its lock, and stays while nobody is known to have died', async () => {
  const root = temporaryFolder()
  const lock = fileLock({ root, probe: kernel().probe })
  const [half, other, folder] = [
    `${name}.json.01234567-89ab-4cde-8f01-23456789abcd.tmp`,
    `0${name.slice(1)}0.json.01234567-89ab-4cde-8f01-23456789abcd.tmp`,
    `${name}.x.01234567-89ab-4cde-8f01-23456789abcd.tmp`
  ]
  for (const file of [half, other]) writeFileSync(join(root, file), '')
  mkdirSync(join(root, folder))
  const left = (): string[] => readdirSync(root).filter((file) => file.endsWith('.tmp'))
  await lock.hold(key, async () => 0, { deadlineMs: 0 })
  expect(left()).toHaveLength(3)
  const path = foreignLock(root)
  writeOwner(join(root, `${name}.owner`), { ...thisProcess(), start: 'another', guard: '', lock: identityOf(lstatOf(path) as never) })
  await lock.hold(key, async () => expect(left().sort()).toEqual([other, folder].sort()), { deadlineMs: 0 })
})

test('a Node without kernel locks is told of once', async () => {
  const warnings = eventsOn('mcpauth:lock:warning')
  const root = temporaryFolder()
  const lock = fileLock({ root, probe: { kernelLocks: () => undefined } })
  for (let round = 0; round < 2; round += 1) await lock.hold(key, async () => 0, { deadlineMs: 0 })
  expect(warnings).toEqual([expect.objectContaining({ problem: 'no-kernel-lock', root })])
})

test.each<[string, FileLockOptions, boolean]>([
  ['staleMs', { staleMs: 100 }, true],
  ['staleMs', { staleMs: 99 }, false],
  ['staleMs', { staleMs: Number.POSITIVE_INFINITY }, false],
  ['updateMs', { updateMs: 10 }, true],
  ['updateMs', { updateMs: 9 }, false],
  ['updateMs', { updateMs: Number.NaN }, false]
])('%s in %o is taken: %s', (option, options, taken) => {
  const make = (): unknown => fileLock({ root: '/anywhere', ...options })
  if (taken) expect(make).not.toThrow()
  else
    expect(make).toThrow(expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining(`option ${option}:`) }))
})

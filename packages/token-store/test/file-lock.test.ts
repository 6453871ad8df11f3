import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { StoreKey } from '@mcpauth/core'
import { expect, test } from 'vitest'
import { type FileLockOptions, fileLock, storeFileName } from '../src/index.ts'
import { kernelLocks } from '../src/kernel-lock.ts'
import { readOwner, thisProcess, writeOwner } from '../src/lock-owner.ts'
import { identityOf, lstatOf } from '../src/private-file.ts'
import { startChild } from './processes/child.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { eventsOn } from './warnings.ts'

const key: StoreKey = { kind: 'server', url: 'https://mcp.example.com/mcp' }
const name = storeFileName(key)
const withoutKernelLock: FileLockOptions = { probe: { kernelLocks: () => undefined } }

/** Waits for what another tool or thread of events brings about, turn by turn. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

test('while it is held, the .lock of proper-lockfile stands beside a guard of 512 bytes, and the word names this process', async () => {
  const root = temporaryFolder()
  await fileLock({ root }).hold(
    key,
    async () => {
      expect(readdirSync(root).sort()).toEqual([`${name}.guard`, `${name}.lock`, `${name}.owner`])
      expect(lstatOf(join(root, `${name}.guard`))).toMatchObject({ size: 512n, nlink: 1n })
      const lock = lstatOf(join(root, `${name}.lock`))
      expect(readOwner(join(root, `${name}.owner`))).toMatchObject({ pid: process.pid, host: hostname(), lock: lock && identityOf(lock) })
    },
    { deadlineMs: 1_000 }
  )
  expect(readdirSync(root).sort()).toEqual([`${name}.guard`, `${name}.owner`])
})

test('nothing is written into the guard, however often it is locked', async () => {
  const root = temporaryFolder()
  const lock = fileLock({ root })
  await lock.hold(key, async () => undefined, { deadlineMs: 1_000 })
  const before = lstatOf(join(root, `${name}.guard`))
  for (let round = 0; round < 20; round += 1) await lock.hold(key, async () => undefined, { deadlineMs: 1_000 })
  const after = lstatOf(join(root, `${name}.guard`))
  expect(after?.mtimeNs).toBe(before?.mtimeNs)
  expect(after?.ino).toBe(before?.ino)
})

test.each([
  ['both locks', {}],
  ['the .lock alone', withoutKernelLock]
])('with %s, a waiter whose time is over learns the pid and the host of the holder', async (_, more) => {
  const root = temporaryFolder()
  const holder = startChild({ root, key, action: 'hold', fault: { point: 'working', and: 'wait' }, noKernelLock: 'probe' in more })
  await holder.said('holding')
  await expect(fileLock({ root, ...more }).hold(key, async () => 'never', { deadlineMs: 30 })).rejects.toMatchObject({
    code: 'MCPAUTH_LOCK_TIMEOUT',
    message: expect.stringContaining(`process ${holder.pid} on ${hostname()}`),
    hint: expect.stringContaining(String(holder.pid))
  })
  holder.say('go')
  await holder.said('done')
})

test('without node:sqlite, one warning says so and the .lock alone excludes', async () => {
  const root = temporaryFolder()
  const warnings = eventsOn('mcpauth:lock:warning')
  const lock = fileLock({ root, ...withoutKernelLock })
  await lock.hold(
    key,
    () => expect(fileLock({ root, ...withoutKernelLock }).hold(key, async () => 0, { deadlineMs: 20 })).rejects.toThrow(),
    {
      deadlineMs: 100
    }
  )
  await lock.hold(key, async () => undefined, { deadlineMs: 100 })
  expect(warnings.filter(({ problem }) => problem === 'no-kernel-lock')).toHaveLength(2)
  expect(readdirSync(root)).toEqual([`${name}.owner`])
})

test('a Node that was started without node:sqlite works, and says nothing on the terminal', async () => {
  const root = temporaryFolder()
  const child = startChild({ root, key, action: 'count', rounds: 3 }, { execArgv: ['--no-experimental-sqlite'] })
  await child.said('done')
  expect((await child.ended).output).toBe('')
  expect(readdirSync(root)).not.toContain(`${name}.guard`)
})

test('nothing is printed by a process that takes the lock', async () => {
  const root = temporaryFolder()
  const child = startChild({ root, key, action: 'count', rounds: 3 })
  await child.said('done')
  expect(await child.ended).toMatchObject({ code: 0, output: '' })
})

test('the warning about node:sqlite is held back, and every other one still comes', () => {
  const seen: unknown[] = []
  const listen = (warning: Error): void => void seen.push(warning.message)
  process.on('warning', listen)
  const emit = process.emitWarning
  kernelLocks()
  expect(process.emitWarning).toBe(emit)
  process.removeListener('warning', listen)
})

test.each([
  [0x6969, 'nfs'],
  [0xfe534d42, 'smb2'],
  [0x01021997, '9p']
])('on a network file system (%i), one warning names it and the lock is taken all the same', async (magic, fileSystem) => {
  const root = temporaryFolder()
  const warnings = eventsOn('mcpauth:lock:warning')
  const lock = fileLock({ root, probe: { statfsType: () => magic } })
  for (let round = 0; round < 3; round += 1) await lock.hold(key, async () => undefined, { deadlineMs: 100 })
  expect(warnings).toEqual([expect.objectContaining({ problem: 'network-file-system', fileSystem, hint: expect.any(String) })])
})

test('on a local file system there is no warning', async () => {
  const warnings = eventsOn('mcpauth:lock:warning')
  await fileLock({ root: temporaryFolder() }).hold(key, async () => undefined, { deadlineMs: 100 })
  expect(warnings).toEqual([])
})

test('a .lock whose owner is dead is removed at once, without looking at any clock', async () => {
  const root = temporaryFolder()
  const holder = startChild({ root, key, action: 'hold', fault: { point: 'working', and: 'SIGKILL' } })
  await holder.ended
  expect(readdirSync(root)).toContain(`${name}.lock`)
  // With the default of thirty seconds for those who cannot be asked, a deadline of zero tells.
  await fileLock({ root }).hold(key, async () => undefined, { deadlineMs: 0 })
})

test('a pid that was used again, another boot, host or pid namespace: only the first is proof of death', async () => {
  const root = temporaryFolder()
  const self = thisProcess()
  const path = join(root, `${name}.lock`)
  const attempt = async (owner: Partial<ReturnType<typeof thisProcess>>): Promise<string> => {
    mkdirSync(path)
    const stat = lstatOf(path)
    writeOwner(join(root, `${name}.owner`), { ...self, ...owner, guard: '', lock: stat ? identityOf(stat) : '' })
    const outcome = await fileLock({ root })
      .hold(key, async () => 'taken', { deadlineMs: 0 })
      .catch((error) => error.code)
    if (outcome !== 'taken') rmdirSync(path)
    return outcome
  }
  expect(await attempt({ start: '1' })).toBe('taken')
  expect(await attempt({ pid: 2 ** 22 + 1 })).toBe('taken')
  expect(await attempt({ start: '1', boot: 'another' })).toBe('MCPAUTH_LOCK_TIMEOUT')
  expect(await attempt({ start: '1', host: 'another' })).toBe('MCPAUTH_LOCK_TIMEOUT')
  expect(await attempt({ start: '1', pidns: 'pid:[1]' })).toBe('MCPAUTH_LOCK_TIMEOUT')
  expect(await attempt({})).toBe('MCPAUTH_LOCK_TIMEOUT')
})

test('word about another .lock proves nothing about this one', async () => {
  const root = temporaryFolder()
  mkdirSync(join(root, `${name}.lock`))
  writeOwner(join(root, `${name}.owner`), { ...thisProcess(), start: '1', guard: '', lock: '1:2:3' })
  await expect(fileLock({ root }).hold(key, async () => 0, { deadlineMs: 0 })).rejects.toMatchObject({ code: 'MCPAUTH_LOCK_TIMEOUT' })
})

test('a strange .lock is removed when it has stood still for staleMs by the monotonic clock, also over several tries', async () => {
  const root = temporaryFolder()
  const path = join(root, `${name}.lock`)
  mkdirSync(path)
  // Older than any limit by the wall clock, which does not count.
  utimesSync(path, 1, 1)
  let clockMs = 0
  const lock = fileLock({ root, staleMs: 30_000, probe: { monotonicMs: () => clockMs } })
  const attempt = (): Promise<string> => lock.hold(key, async () => 'taken', { deadlineMs: 0 }).catch((error) => error.code)
  expect(await attempt()).toBe('MCPAUTH_LOCK_TIMEOUT')
  clockMs = 29_999
  expect(await attempt()).toBe('MCPAUTH_LOCK_TIMEOUT')
  utimesSync(path, 2, 2)
  clockMs = 30_001
  expect(await attempt()).toBe('MCPAUTH_LOCK_TIMEOUT')
  clockMs = 60_000
  expect(await attempt()).toBe('MCPAUTH_LOCK_TIMEOUT')
  clockMs = 60_001
  expect(await attempt()).toBe('taken')
})

test('without the kernel’s lock, an owner that lives keeps its .lock however long it stands still', async () => {
  const root = temporaryFolder()
  const path = join(root, `${name}.lock`)
  mkdirSync(path)
  const stat = lstatOf(path)
  writeOwner(join(root, `${name}.owner`), { ...thisProcess(), guard: '', lock: stat ? identityOf(stat) : '' })
  let clockMs = 0
  const lock = fileLock({ root, probe: { kernelLocks: () => undefined, monotonicMs: () => clockMs } })
  for (const at of [0, 1e6, 1e9]) {
    clockMs = at
    await expect(lock.hold(key, async () => 0, { deadlineMs: 0 })).rejects.toMatchObject({ code: 'MCPAUTH_LOCK_TIMEOUT' })
  }
})

test('something in place of the .lock that is not an empty folder is refused', async () => {
  const root = temporaryFolder()
  writeFileSync(join(root, `${name}.lock`), 'a file')
  await expect(fileLock({ root }).hold(key, async () => 0, { deadlineMs: 0 })).rejects.toMatchObject({ code: 'MCPAUTH_STORE_UNSAFE' })
})

test('a guard that was replaced is noticed before the next look at lost', async () => {
  const root = temporaryFolder()
  await fileLock({ root }).hold(
    key,
    async (held) => {
      expect(held.lost.aborted).toBe(false)
      renameSync(join(root, `${name}.guard`), join(root, 'away'))
      expect(held.lost.aborted).toBe(true)
    },
    { deadlineMs: 100 }
  )
})

test('a .lock that another tool took over is noticed, its heart stops, and the release leaves the other’s alone', async () => {
  const root = temporaryFolder()
  const path = join(root, `${name}.lock`)
  await fileLock({ root, updateMs: 10 }).hold(
    key,
    async (held) => {
      const { lost } = held
      rmdirSync(path)
      mkdirSync(path)
      utimesSync(path, 1, 1)
      await until(() => lost.aborted)
      expect(lstatOf(path)?.mtimeMs).toBe(1000n)
    },
    { deadlineMs: 100 }
  )
  expect(readdirSync(root)).toContain(`${name}.lock`)
})

test('the heart of a holder beats', async () => {
  const root = temporaryFolder()
  const path = join(root, `${name}.lock`)
  let nowMs = 1_000_000
  await fileLock({ root, updateMs: 10, now: () => nowMs }).hold(
    key,
    async (held) => {
      nowMs += 60_000
      await until(() => lstatOf(path)?.mtimeMs === BigInt(nowMs))
      expect(held.lost.aborted).toBe(false)
    },
    { deadlineMs: 100 }
  )
})

test('what a crashed holder left half written is swept up by the next one; files of other keys stay', async () => {
  const root = temporaryFolder()
  const holder = startChild({ root, key, action: 'count', fault: { point: 'temp-written', and: 'SIGKILL' } })
  await holder.ended
  const other = `${'0'.repeat(64)}.json.01234567-89ab-4cde-8f01-23456789abcd.tmp`
  writeFileSync(join(root, other), '')
  expect(readdirSync(root).filter((file) => file.endsWith('.tmp'))).toHaveLength(2)
  await fileLock({ root }).hold(key, async () => undefined, { deadlineMs: 1_000 })
  expect(readdirSync(root).filter((file) => file.endsWith('.tmp'))).toEqual([other])
})

test('a damaged guard is refused with what to do', async () => {
  const root = temporaryFolder()
  writeFileSync(join(root, `${name}.guard`), 'x'.repeat(512), { mode: 0o600 })
  await expect(fileLock({ root }).hold(key, async () => 0, { deadlineMs: 0 })).rejects.toMatchObject({
    code: 'MCPAUTH_STORE_UNSAFE',
    hint: expect.stringContaining('delete')
  })
})

test('a guard that others may open is tightened, since whoever opens it can hold it for ever', async () => {
  const root = temporaryFolder()
  const lock = fileLock({ root })
  await lock.hold(key, async () => undefined, { deadlineMs: 100 })
  const { chmodSync } = await import('node:fs')
  chmodSync(join(root, `${name}.guard`), 0o666)
  await lock.hold(key, async () => undefined, { deadlineMs: 100 })
  expect(Number(lstatOf(join(root, `${name}.guard`))?.mode) & 0o777).toBe(0o600)
})

test('a guard that cannot be written locks nothing, so it is refused', async () => {
  if (process.geteuid?.() !== 0) return
  const root = temporaryFolder()
  const { chmodSync, chownSync } = await import('node:fs')
  chownSync(root, 65534, 65534)
  const made = startChild({ root, key, action: 'count', uid: 65534 })
  await made.said('done')
  chownSync(join(root, `${name}.guard`), 0, 0)
  chmodSync(join(root, `${name}.guard`), 0o444)
  const child = startChild({ root, key, action: 'count', uid: 65534 })
  expect(await child.said('failed')).toMatchObject({ code: 'MCPAUTH_STORE_UNSAFE' })
})

test.each([
  ['staleMs', { staleMs: 99 }],
  ['staleMs', { staleMs: Number.NaN }],
  ['updateMs', { updateMs: 0 }]
])('a useless %s is refused at construction', (option, options) => {
  expect(() => fileLock(options)).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining(option) })
  )
})

test('no secret of the record is in the word that a holder leaves', async () => {
  const root = temporaryFolder()
  const child = startChild({ root, key, action: 'count' })
  await child.said('done')
  expect(Object.keys(JSON.parse(readFileSync(join(root, `${name}.owner`), 'utf8'))).sort()).toEqual([
    'boot',
    'guard',
    'host',
    'lock',
    'pid',
    'pidns',
    'start',
    'v'
  ])
})

import { execFileSync, spawn } from 'node:child_process'
import { lstatSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { type LockOwner, readOwner, stateOfOwner, thisProcess, writeOwner } from '../src/lock-owner.ts'
import { fileSystemCall, refusal } from './file-system.ts'
import { temporaryFolder } from './temporary-folder.ts'

const self = thisProcess()
const owner: LockOwner = { ...self, guard: '1:2:3', lock: '4:5:6' }
const statOf = (pid: number): string[] => (/\) (.*)/s.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1] ?? '').split(' ')
const onLinux = test.skipIf(process.platform !== 'linux')

test('the word of a holder is private, comes back as it was left, and takes the place of the last one', () => {
  const path = join(temporaryFolder(), 'x.owner')
  writeOwner(path, { ...owner, lock: 'of the one before, with a longer name than the next' })
  writeOwner(path, owner)
  expect(readOwner(path)).toEqual(owner)
  expect(lstatSync(path).mode & 0o777).toBe(0o600)
})

onLinux('no file stays open behind a word', () => {
  const path = join(temporaryFolder(), 'x.owner')
  const open = (): number => readdirSync('/proc/self/fd').length
  const before = open()
  for (let round = 0; round < 50; round += 1) {
    writeOwner(path, owner)
    readOwner(path)
  }
  expect(open()).toBeLessThan(before + 25)
})

test.each<[string, unknown]>([
  ['no object', 7],
  ['null', null],
  ['a list', [owner]],
  ['another version', { ...owner, v: 2 }],
  ['no pid', { ...owner, pid: undefined }],
  ['pid 0, which is a group', { ...owner, pid: 0 }],
  ['a negative pid', { ...owner, pid: -1 }],
  ['half a pid', { ...owner, pid: 1.5 }],
  ['a pid as text', { ...owner, pid: '12' }],
  ...['start', 'boot', 'pidns', 'host', 'guard', 'lock'].flatMap(
    (field): Array<[string, unknown]> => [
      [`no ${field}`, { ...owner, [field]: undefined }],
      [`a ${field} that is no text`, { ...owner, [field]: 1 }]
    ]
  )
])('a word with %s says nothing', (_what, value) => {
  const path = join(temporaryFolder(), 'x.owner')
  writeFileSync(path, JSON.stringify(value))
  expect(readOwner(path)).toBeUndefined()
})

test('T11: a word that is absent, cut off, a link, a folder or a pipe says nothing, and nobody waits for it', () => {
  const folder = temporaryFolder()
  const path = join(folder, 'x.owner')
  writeOwner(path, owner)
  symlinkSync(path, join(folder, 'link'))
  execFileSync('mkfifo', [join(folder, 'pipe')])
  writeFileSync(join(folder, 'half'), JSON.stringify(owner).slice(0, -5))
  for (const other of ['absent', 'half', 'link', 'pipe', '.']) expect(readOwner(join(folder, other)), other).toBeUndefined()
})

onLinux('this process says what proves that it lives', () => {
  expect(thisProcess()).toEqual({
    v: 1,
    pid: process.pid,
    start: statOf(process.pid)[19],
    boot: readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(),
    pidns: expect.stringMatching(/^pid:\[\d+\]$/),
    host: hostname()
  })
})

test('where there is no /proc this process says nothing that could prove it dead', () => {
  fileSystemCall('readFileSync', () => refusal('ENOENT'))
  fileSystemCall('readlinkSync', () => refusal('ENOENT'))
  expect(thisProcess()).toEqual({ v: 1, pid: process.pid, start: '', boot: '', pidns: '', host: hostname() })
})

onLinux.each<[string, Partial<LockOwner>, ReturnType<typeof stateOfOwner>]>([
  ['this process', {}, 'alive'],
  ['a pid that is used again', { start: '1' }, 'dead'],
  ['a pid that nobody has', { pid: 2 ** 30 }, 'dead'],
  ['another boot', { boot: 'another', pid: 2 ** 30 }, 'unknown'],
  ['another machine', { host: 'another', pid: 2 ** 30 }, 'unknown'],
  ['another pid namespace', { pidns: 'another', pid: 2 ** 30 }, 'unknown']
])('an owner that is %s: %o is %s', (_who, change, state) => {
  expect(stateOfOwner({ ...owner, ...change }, self)).toBe(state)
})

onLinux('where the boot is not known nobody is proven dead', () => {
  expect(stateOfOwner({ ...owner, boot: '', pid: 2 ** 30 }, { ...self, boot: '' })).toBe('unknown')
})

onLinux('a process that has ended and was not waited for is dead', async () => {
  // The shell becomes a program that never waits for the child it had, which ends when it is told.
  const script = 'cat <&3 >/dev/null & echo $!; exec sleep 60'
  const parent = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore', 'pipe'] })
  onTestFinished(() => void parent.kill('SIGKILL'))
  const said = parent.stdio[1] as Readable
  const pid = Number(await new Promise((resolve) => said.once('data', resolve)))
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise(setImmediate)
  }
  await until(() => readFileSync(`/proc/${parent.pid}/comm`, 'latin1').trim() === 'sleep')
  const start = statOf(pid)[19] as string
  expect(stateOfOwner({ ...owner, pid, start }, self)).toBe('alive')
  ;(parent.stdio[3] as Writable).end()
  await until(() => statOf(pid)[0] === 'Z')
  expect(stateOfOwner({ ...owner, pid, start }, self)).toBe('dead')
})

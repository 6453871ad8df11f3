import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import { McpAuthError } from '@mcpauth/core'
import { describe, expect, test, vi } from 'vitest'
import {
  identityOf,
  isTemporaryOf,
  isTrustedOwner,
  lstatOf,
  readPrivateFile,
  replacePrivateFile,
  systemCode,
  temporaryName,
  unavailable
} from '../src/private-file.ts'
import { fileSystemCall, refusal } from './file-system.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { userIs } from './user.ts'

const own = process.geteuid?.() ?? 0
const nobody = 65534
const quiet = (): void => undefined
const privateFile = (text: string): string => {
  const path = join(temporaryFolder(), 'file')
  writeFileSync(path, text, { mode: 0o600 })
  return path
}

describe('reading', () => {
  test('gives the bytes, or undefined when there is no file', async () => {
    const path = privateFile('bytes')
    const onWideMode = vi.fn()
    expect(Buffer.from((await readPrivateFile(path, 100, onWideMode)) ?? []).toString()).toBe('bytes')
    expect(await readPrivateFile(`${path}.absent`, 100, onWideMode)).toBeUndefined()
    expect(onWideMode).not.toHaveBeenCalled()
  })

  test('T12: stops one byte behind the bound, which tells that it is too large', async () => {
    const path = privateFile('12345')
    expect((await readPrivateFile(path, 5, quiet))?.byteLength).toBe(5)
    expect((await readPrivateFile(path, 4, quiet))?.byteLength).toBe(5)
    expect((await readPrivateFile(path, 2, quiet))?.byteLength).toBe(3)
  })

  test.each([0o644, 0o601, 0o660])('T11: takes the rights of others away, and tells of it (%o)', async (mode) => {
    const path = privateFile('x')
    chmodSync(path, mode)
    const onWideMode = vi.fn()
    await readPrivateFile(path, 100, onWideMode)
    expect(onWideMode.mock.calls).toEqual([[path, mode, true]])
    expect(lstatSync(path).mode & 0o777).toBe(0o600)
  })

  test.skipIf(own !== 0)("T11: reads what is root's, such as a mounted secret, and only tells that it is too open", async () => {
    const path = privateFile('x')
    chmodSync(path, 0o644)
    userIs(1000)
    const onWideMode = vi.fn()
    expect(await readPrivateFile(path, 100, onWideMode)).toBeDefined()
    expect(onWideMode.mock.calls).toEqual([[path, 0o644, false]])
    expect(lstatSync(path).mode & 0o777).toBe(0o644)
  })

  test('T11: reads what the file system refuses to tighten, and tells that it is still too open', async () => {
    const path = privateFile('x')
    chmodSync(path, 0o644)
    fileSystemCall('fchmodSync', () => refusal('EPERM'))
    const onWideMode = vi.fn()
    expect(await readPrivateFile(path, 100, onWideMode)).toBeDefined()
    expect(onWideMode.mock.calls).toEqual([[path, 0o644, false]])
  })

  test('where there are no owners takes the file as it is', async () => {
    const path = privateFile('x')
    chmodSync(path, 0o644)
    if (own === 0) chownSync(path, nobody, nobody)
    userIs(undefined)
    const onWideMode = vi.fn()
    expect(await readPrivateFile(path, 100, onWideMode)).toBeDefined()
    expect(onWideMode).not.toHaveBeenCalled()
    await replacePrivateFile(path, Buffer.from('y'))
    expect(readFileSync(path, 'utf8')).toBe('y')
  })

  test('T11: refuses a link, a folder and a pipe by what they are, without waiting', async () => {
    const folder = temporaryFolder()
    const target = privateFile('x')
    symlinkSync(target, join(folder, 'link'))
    mkdirSync(join(folder, 'folder'))
    execFileSync('mkfifo', [join(folder, 'pipe')])
    for (const [name, fact] of [
      ['link', 'symbolic link'],
      ['folder', 'regular file'],
      ['pipe', 'regular file']
    ] as const) {
      const unsafe = { code: 'MCPAUTH_STORE_UNSAFE', message: expect.stringContaining(fact) }
      await expect(readPrivateFile(join(folder, name), 100, quiet)).rejects.toMatchObject(unsafe)
      await expect(replacePrivateFile(join(folder, name), Buffer.from('y'))).rejects.toMatchObject(unsafe)
    }
    expect(readFileSync(target, 'utf8')).toBe('x')
    expect(readdirSync(folder).sort()).toEqual(['folder', 'link', 'pipe'])
  })

  test.skipIf(own !== 0)('T11: refuses the file of another user', async () => {
    const path = privateFile('x')
    chownSync(path, nobody, nobody)
    const unsafe = { code: 'MCPAUTH_STORE_UNSAFE', message: expect.stringContaining('another user') }
    await expect(readPrivateFile(path, 100, quiet)).rejects.toMatchObject(unsafe)
    await expect(replacePrivateFile(path, Buffer.from('y'))).rejects.toMatchObject(unsafe)
  })

  test('T8: what the file system refuses is a typed error with its code', async () => {
    await expect(readPrivateFile(join(privateFile('x'), 'below'), 100, quiet)).rejects.toMatchObject({
      code: 'MCPAUTH_STORE_UNAVAILABLE',
      message: expect.stringContaining('ENOTDIR')
    })
  })
})

describe('replacing', () => {
  test('T8: takes the steps in their order: the temporary file is whole and private before it stands in place', async () => {
    const path = privateFile('old')
    const seen: unknown[] = []
    await replacePrivateFile(path, Buffer.from('new'), (point) => {
      const temporary = readdirSync(join(path, '..')).find((name) => name.endsWith('.tmp'))
      const beside = temporary === undefined ? undefined : join(path, '..', temporary)
      seen.push([point, readFileSync(path, 'utf8'), beside && readFileSync(beside, 'utf8'), beside && lstatSync(beside).mode & 0o777])
    })
    expect(seen).toEqual([
      ['temp-written', 'old', 'new', 0o600],
      ['temp-synced', 'old', 'new', 0o600],
      ['renamed', 'new', undefined, undefined]
    ])
  })

  test('T8: syncs the file before it stands in place, and its folder after that', async () => {
    const path = privateFile('old')
    const steps: string[] = []
    const folder = lstatSync(join(path, '..')).ino
    fileSystemCall('fsyncSync', (real) => (file: number) => {
      const { ino, size } = fstatSync(file)
      steps.push(ino === folder ? 'sync the folder' : `sync ${size} bytes`)
      real(file)
    })
    fileSystemCall('renameSync', (real) => (from: string, to: string) => {
      steps.push('rename')
      real(from, to)
    })
    await replacePrivateFile(path, Buffer.from('newer'))
    expect(steps).toEqual(['sync 5 bytes', 'rename', 'sync the folder'])
  })

  test('T8: stands where the file system cannot sync a folder', async () => {
    const path = privateFile('old')
    fileSystemCall('fsyncSync', (real) => (file: number) => (fstatSync(file).isDirectory() ? refusal('EINVAL')() : real(file)))
    await replacePrivateFile(path, Buffer.from('new'))
    expect(readFileSync(path, 'utf8')).toBe('new')
  })

  test('can be read by its owner whatever the umask takes away', async () => {
    const path = privateFile('old')
    // A thread has no umask of its own to set.
    fileSystemCall('openSync', (real) => (file: string, flags: number, mode?: number) => real(file, flags, mode && mode & ~0o400))
    await replacePrivateFile(path, Buffer.from('new'))
    expect(lstatSync(path).mode & 0o777).toBe(0o600)
  })

  test.each(['temp-written', 'temp-synced'])('T8: a failure at %s leaves the old bytes and no temporary file', async (failing) => {
    const path = privateFile('old')
    const broken = Object.assign(new Error('broken'), { code: 'EIO' })
    const replaced = replacePrivateFile(path, Buffer.from('new'), (point) => {
      if (point === failing) throw broken
    })
    await expect(replaced).rejects.toMatchObject({
      code: 'MCPAUTH_STORE_UNAVAILABLE',
      message: expect.stringContaining('EIO'),
      cause: broken
    })
    expect(readFileSync(path, 'utf8')).toBe('old')
    expect(readdirSync(join(path, '..'))).toEqual(['file'])
  })

  describe('T8: on a full disk', () => {
    const onFullDisk = (path: string, text: string, code = 'ENOSPC'): Promise<void> =>
      replacePrivateFile(path, Buffer.from(text), () => refusal(code)())

    test.each([
      ['ENOSPC', '{"generation":1}', '{"generation":2,"longer":true}'],
      ['EDQUOT', '{"generation":1,"longer":true}', '{"generation":2}']
    ])('the old bytes are written over (%s), in one write, synced, and no temporary file stays', async (code, before, after) => {
      const path = privateFile(before)
      const { ino } = lstatSync(path)
      const written = fileSystemCall('writeFileSync')
      const synced: number[] = []
      fileSystemCall('fsyncSync', (real) => (file: number) => {
        synced.push(fstatSync(file).ino)
        real(file)
      })
      await onFullDisk(path, after, code)
      expect(readFileSync(path, 'utf8').trimEnd()).toBe(after)
      expect(readFileSync(path)).toHaveLength(Math.max(before.length, after.length))
      expect(lstatSync(path).ino).toBe(ino)
      expect(written).toHaveBeenCalledTimes(2)
      expect(synced).toEqual([ino, lstatSync(join(path, '..')).ino])
      expect(readdirSync(join(path, '..'))).toEqual(['file'])
    })

    test('what has no room in the old file leaves it as it was', async () => {
      const path = privateFile('old')
      const room = lstatSync(path).blocks * 512
      await onFullDisk(path, 'x'.repeat(room))
      const before = readFileSync(path, 'utf8')
      await expect(onFullDisk(path, 'y'.repeat(room + 1))).rejects.toMatchObject({ message: expect.stringContaining('ENOSPC') })
      expect(readFileSync(path, 'utf8')).toBe(before)
    })

    test('T11: a file that has another name as well is left as it was', async () => {
      const path = privateFile('old')
      linkSync(path, `${path}.other`)
      await expect(onFullDisk(path, 'new')).rejects.toMatchObject({ message: expect.stringContaining('ENOSPC') })
      expect(readFileSync(`${path}.other`, 'utf8')).toBe('old')
    })

    test('where there is no old file it is a typed error', async () => {
      const path = join(temporaryFolder(), 'file')
      await expect(onFullDisk(path, 'new')).rejects.toMatchObject({ code: 'MCPAUTH_STORE_UNAVAILABLE', cause: { code: 'ENOSPC' } })
      expect(readdirSync(join(path, '..'))).toEqual([])
    })
  })

  test('T8: in a folder that is not there is a typed error', async () => {
    await expect(replacePrivateFile(join(temporaryFolder(), 'absent', 'file'), Buffer.from('x'))).rejects.toMatchObject({
      code: 'MCPAUTH_STORE_UNAVAILABLE',
      message: expect.stringContaining('ENOENT')
    })
  })
})

test.skipIf(process.platform !== 'linux')('no file stays open behind a read or a write', async () => {
  const path = privateFile('x')
  const open = (): number => readdirSync('/proc/self/fd').length
  const before = open()
  for (let round = 0; round < 50; round += 1) {
    await readPrivateFile(path, 100, quiet)
    await replacePrivateFile(path, Buffer.from('y'))
  }
  expect(open()).toBeLessThan(before + 25)
})

test('a temporary file is known as one by its name, and belongs to one stem', () => {
  const name = temporaryName('abc.json')
  expect(name).toMatch(/^abc\.json\.[0-9a-f-]{36}\.tmp$/)
  expect(temporaryName('abc.json')).not.toBe(name)
  expect(isTemporaryOf('abc', name)).toBe(true)
  for (const other of ['abc.json', `x.${name}`, `abcd${name.slice(3)}`, `${name}.x`, `${name.slice(0, -5)}.tmp`, 'abc.json.tmp', 'abc'])
    expect(isTemporaryOf('abc', other), other).toBe(false)
})

test('this user and root are trusted owners, nobody else is', () => {
  expect([own, 0, BigInt(own), 0n].map((uid) => isTrustedOwner({ uid }))).toEqual([true, true, true, true])
  expect([own + 1, BigInt(own) + 1n].map((uid) => isTrustedOwner({ uid }))).toEqual([false, false])
  userIs(1000)
  expect([1000, 0, 1001].map((uid) => isTrustedOwner({ uid }))).toEqual([true, true, false])
  userIs(undefined)
  expect(isTrustedOwner({ uid: 1001 })).toBe(true)
})

test('two files have two identities, and one keeps its own when it is written', () => {
  const path = privateFile('x')
  const identity = (of: string): string => identityOf(lstatOf(of) as never)
  const before = identity(path)
  writeFileSync(path, 'longer')
  expect(identity(path)).toBe(before)
  expect(identity(privateFile('x'))).not.toBe(before)
  expect(lstatOf(`${path}.absent`)).toBeUndefined()
})

test('the error of a file system says what failed, by which code, and what to do about that code', () => {
  const hints = ['ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EACCES', 'EPERM', 'ENOENT', 'EMFILE', 'ENFILE', 'ENOTDIR', 'EIO'].map((code) => {
    const cause = Object.assign(new Error('x'), { code })
    const error = unavailable('writing x', cause)
    expect(error).toMatchObject({ code: 'MCPAUTH_STORE_UNAVAILABLE', message: `writing x failed: ${code}`, cause })
    return error.hint
  })
  expect(new Set(hints).size).toBe(hints.length)
  expect(unavailable('writing x', new Error('secret'))).toMatchObject({ message: 'writing x failed', hint: hints.at(-1) })
  const typed = new McpAuthError('MCPAUTH_CLOSED', 'closed')
  expect(unavailable('writing x', typed)).toBe(typed)
  expect([null, undefined, 'x', { code: 7 }, { code: 'EIO' }].map(systemCode)).toEqual([undefined, undefined, undefined, undefined, 'EIO'])
})

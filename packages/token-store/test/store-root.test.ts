import { chmodSync, chownSync, lstatSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { ensureFolderOf, networkFileSystemOf, noRoot, storeRoot } from '../src/store-root.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { userIs } from './user.ts'

const modeOf = (path: string): number => lstatSync(path).mode & 0o777
const quiet = (): void => undefined
const isRoot = process.geteuid?.() === 0

test('the root is what an option names, else the environment, else a folder in the home', () => {
  const env = { MCPAUTH_AUTH_DIR: '/from/env' }
  expect(storeRoot('/from/option', env)).toBe('/from/option')
  expect(storeRoot('relative', env)).toBe(resolve('relative'))
  expect(storeRoot(undefined, env)).toBe('/from/env')
  expect(storeRoot(undefined, { MCPAUTH_AUTH_DIR: '' })).toBe(join(homedir(), '.mcpauth', 'auth'))
  expect(() => storeRoot('', env)).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringMatching(/^option root:/) })
  )
  expect(noRoot()).toMatchObject({ code: 'MCPAUTH_STORE_UNAVAILABLE', hint: expect.stringContaining('MCPAUTH_AUTH_DIR') })
})

describe('T11: the folder of a file', () => {
  test('T11: is made with all above it, private from its first moment', () => {
    const root = join(temporaryFolder(), 'a', 'b')
    const onWide = vi.fn()
    ensureFolderOf(root, join(root, 'clients', 'x.json'), onWide)
    for (const folder of [root, join(root, 'clients')]) expect(modeOf(folder)).toBe(0o700)
    ensureFolderOf(root, join(root, 'x.json'), onWide)
    expect(onWide).not.toHaveBeenCalled()
  })

  test.skipIf(process.platform !== 'linux')('T11: that cannot be tightened is an error that says so', () => {
    // Nobody may change a mode in here, not even root.
    expect(() => ensureFolderOf('/proc/self/fdinfo', '/proc/self/fdinfo/x.json', quiet)).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_STORE_UNAVAILABLE', message: 'making /proc/self/fdinfo private failed: EPERM' })
    )
  })

  test('T11: is tightened when others may do anything in it, the root and the one below', () => {
    const root = temporaryFolder()
    const below = join(root, 'clients')
    mkdirSync(below)
    const onWide = vi.fn()
    for (const [wide, mode] of [
      [root, 0o701],
      [below, 0o750]
    ] as const)
      chmodSync(wide, mode)
    ensureFolderOf(root, join(below, 'x.json'), onWide)
    expect(onWide.mock.calls).toEqual([
      [root, 0o701],
      [below, 0o750]
    ])
    expect([modeOf(root), modeOf(below)]).toEqual([0o700, 0o700])
  })

  test('T11: may have the sticky bit: it is shared only when others may write in it', () => {
    const root = temporaryFolder()
    const onWide = vi.fn()
    chmodSync(root, 0o1755)
    ensureFolderOf(root, join(root, 'x.json'), onWide)
    expect([onWide.mock.calls, modeOf(root)]).toEqual([[[root, 0o755]], 0o700])
    chmodSync(root, 0o1777)
    expect(() => ensureFolderOf(root, join(root, 'x.json'), onWide)).toThrow(
      expect.objectContaining({
        code: 'MCPAUTH_STORE_UNSAFE',
        message: `${root} is shared by the users of this machine`,
        hint: expect.stringContaining(join(root, 'mcpauth'))
      })
    )
  })

  test('T11: once is told once, where the file stands in the root itself', () => {
    const root = temporaryFolder()
    chmodSync(root, 0o755)
    const onWide = vi.fn()
    ensureFolderOf(root, join(root, 'x.json'), onWide)
    expect(onWide).toHaveBeenCalledOnce()
    expect(() => ensureFolderOf(join(root, 'absent'), join(root, 'x.json'), onWide)).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_STORE_UNAVAILABLE', message: expect.stringContaining('ENOTDIR') })
    )
  })

  test('may be reached through a link, as a home folder is', () => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'real'), { mode: 0o700 })
    symlinkSync(join(folder, 'real'), join(folder, 'link'))
    expect(() => ensureFolderOf(join(folder, 'link'), join(folder, 'link', 'x.json'), quiet)).not.toThrow()
  })

  test('is a typed error where a file stands in its place, or above it', () => {
    const file = join(temporaryFolder(), 'file')
    writeFileSync(file, '')
    for (const root of [file, join(file, 'below')]) {
      expect(() => ensureFolderOf(root, join(root, 'x.json'), quiet)).toThrow(
        expect.objectContaining({ code: 'MCPAUTH_STORE_UNAVAILABLE', message: expect.stringContaining('ENOTDIR') })
      )
    }
  })

  test.skipIf(!isRoot)("T11: may be root's, who may be read but not be written by others", () => {
    const root = temporaryFolder()
    const onWide = vi.fn()
    userIs(1000)
    for (const mode of [0o755, 0o711]) {
      chmodSync(root, mode)
      ensureFolderOf(root, join(root, 'x.json'), onWide)
      expect(modeOf(root)).toBe(mode)
    }
    for (const mode of [0o720, 0o702]) {
      chmodSync(root, mode)
      expect(() => ensureFolderOf(root, join(root, 'x.json'), onWide)).toThrow(
        expect.objectContaining({ code: 'MCPAUTH_STORE_UNSAFE', message: expect.stringContaining('written by other users') })
      )
    }
    expect(onWide).not.toHaveBeenCalled()
  })

  test('is taken as it is where there are no owners', () => {
    const root = temporaryFolder()
    chmodSync(root, 0o777)
    if (isRoot) chownSync(root, 65534, 65534)
    userIs(undefined)
    ensureFolderOf(root, join(root, 'x.json'), quiet)
    expect(modeOf(root)).toBe(0o777)
  })

  test.skipIf(!isRoot)('T11: is refused when it belongs to another user, the root and the one below', () => {
    const root = temporaryFolder()
    const below = join(root, 'clients')
    mkdirSync(below)
    for (const foreign of [below, root]) {
      chownSync(foreign, 65534, 65534)
      expect(() => ensureFolderOf(root, join(below, 'x.json'), quiet)).toThrow(
        expect.objectContaining({ code: 'MCPAUTH_STORE_UNSAFE', message: `${foreign} belongs to another user` })
      )
    }
  })
})

test.each([
  [0x6969, 'nfs'],
  [0xff534d42, 'cifs'],
  [0xff534d42 | 0, 'cifs'],
  [0xfe534d42 | 0, 'smb2'],
  [0x65735546, 'fuse'],
  [0xef53, undefined]
])('a file system of type %i is %s', (type, name) => {
  expect(networkFileSystemOf('/anywhere', () => type)).toBe(name)
})

test('where nobody can tell the file system it is taken for a local one', () => {
  expect(networkFileSystemOf('/absent/folder')).toBeUndefined()
  expect(networkFileSystemOf(temporaryFolder())).toBeUndefined()
})

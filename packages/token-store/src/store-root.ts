import { chmodSync, mkdirSync, type Stats, statfsSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { invalidOption, McpAuthError } from '@mcpauth/core'
import { isTrustedOwner, unavailable, unsafe } from './private-file.ts'

/** Where the token cache is: `root`, else `MCPAUTH_AUTH_DIR`, else `~/.mcpauth/auth`; undefined when this user has no home. */
export function storeRoot(root: string | undefined, env: Readonly<Record<string, string | undefined>>): string | undefined {
  if (root === '') throw invalidOption('root', 'is empty')
  const named = root ?? env.MCPAUTH_AUTH_DIR
  if (named) return resolve(named)
  try {
    const home = homedir()
    // An empty HOME would put the cache into whatever folder the program happens to run in.
    return isAbsolute(home) ? join(home, '.mcpauth', 'auth') : undefined
  } catch {
    return undefined
  }
}

/** Told what was found wrong with a folder and set right. */
export type OnWideFolder = (path: string, mode: number) => void

/**
 * Makes the folder that holds a store's file, private from its first moment, and checks the root: it must be ours, and nobody else may write
 * in it, or links could be planted there.
 *
 * @throws `MCPAUTH_STORE_UNSAFE`, `MCPAUTH_STORE_UNAVAILABLE`
 */
export function ensureFolderOf(root: string, path: string, onWide: OnWideFolder): void {
  const folder = dirname(path)
  const found = statOf(folder) ?? madeFolder(folder)
  if (folder !== root) checkFolder(root, statOf(root), onWide)
  checkFolder(folder, found, onWide)
}

/** Follows links: a home folder may well be one. What counts is who can write where it ends. What is in the way, `mkdir` says. */
function statOf(folder: string): Stats | undefined {
  try {
    return statSync(folder)
  } catch {
    return undefined
  }
}

function madeFolder(folder: string): Stats | undefined {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw unavailable(`making ${folder}`, error)
  }
  return statOf(folder)
}

const stickyBit = 0o1000

function checkFolder(folder: string, stat: Stats | undefined, onWide: OnWideFolder): void {
  if (!stat?.isDirectory()) throw unavailable(`using ${folder}`, { code: 'ENOTDIR' })
  if (!isTrustedOwner(stat)) throw unsafe(folder, 'belongs to another user', 'name a folder of your own with MCPAUTH_AUTH_DIR')
  const own = process.geteuid?.()
  if (own === undefined || (stat.mode & 0o077) === 0) return
  // A folder for everybody, like /tmp: root may call it its own, and would take it away from all others.
  if ((stat.mode & stickyBit) !== 0 && (stat.mode & 0o022) !== 0)
    throw unsafe(folder, 'is shared by the users of this machine', ownFolderIn(folder))
  if (stat.uid === own) {
    tighten(folder)
    onWide(folder, stat.mode & 0o777)
  } else if ((stat.mode & 0o022) !== 0) {
    throw unsafe(folder, 'can be written by other users', ownFolderIn(folder))
  }
}

/** Some file systems take no modes. */
function tighten(folder: string): void {
  try {
    chmodSync(folder, 0o700)
  } catch (error) {
    throw unavailable(`making ${folder} private`, error)
  }
}

/** A volume that was mounted for a container is often everybody's; a folder that we make in it is ours. */
function ownFolderIn(folder: string): string {
  return `name a folder of your own with MCPAUTH_AUTH_DIR, for instance ${join(folder, 'mcpauth')}`
}

/** The error of a user without a home folder. */
export function noRoot(): McpAuthError {
  return new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', 'this user has no home folder to keep tokens in', {
    hint: 'name a folder with MCPAUTH_AUTH_DIR'
  })
}

/** File systems whose locks work between the processes of one machine at best (their magic numbers in `statfs`). */
const networkFileSystems: ReadonlyMap<number, string> = new Map([
  [0x6969, 'nfs'],
  [0x517b, 'smb'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb2'],
  [0x01021997, '9p'],
  [0x5346414f, 'afs'],
  [0x73757245, 'coda'],
  [0x00c36400, 'ceph'],
  [0x0bd00bd0, 'lustre'],
  [0x47504653, 'gpfs'],
  [0x65735546, 'fuse'],
  [0x786f4256, 'vboxsf']
])

/** The kind of network file system that a folder is on; undefined for a local one, and where nobody can tell. */
export function networkFileSystemOf(
  folder: string,
  statfsType: (folder: string) => number = (path) => statfsSync(path).type
): string | undefined {
  try {
    // Some platforms sign the number.
    return networkFileSystems.get(statfsType(folder) >>> 0)
  } catch {
    return undefined
  }
}

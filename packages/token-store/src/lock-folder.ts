import { type BigIntStats, mkdirSync, renameSync, rmdirSync, utimesSync } from 'node:fs'
import { readOwner, stateOfOwner, thisProcess, writeOwner } from './lock-owner.ts'
import { identityOf, lstatOf, systemCode, temporaryName, unavailable, unsafe } from './private-file.ts'

/** The `.lock` folder while this process owns it. */
export interface FolderLock {
  /** The orphan of a process that died was removed to get it: there may be more to tidy up. */
  readonly recovered: boolean
  /** Whether the folder is still the one that was made, with the time that was last set. */
  intact(): boolean
  /** Shows those who look at the folder's time that its owner lives. False: it is not ours any more. */
  beat(): boolean
  /** Removes it, if it is ours. */
  release(): void
}

/** How the layer judges what it finds. */
export interface FolderLockOptions {
  /** How long a lock that nobody can be asked about must stand still before it is removed, in milliseconds. */
  readonly staleMs: number
  /** The wall clock, in milliseconds: what is written into the folder's time. */
  readonly now: () => number
  /** The monotonic clock, in milliseconds: what waiting is measured by. */
  readonly monotonicMs: () => number
}

/** Takes `.lock` folders and remembers, between tries, how long a strange one has stood still. */
export interface FolderLocks {
  /**
   * Tries once. undefined: somebody else holds it.
   *
   * @param guard The identity of the kernel lock that is held around it; undefined when there is none.
   * @throws `MCPAUTH_STORE_UNSAFE`, `MCPAUTH_STORE_UNAVAILABLE`
   */
  tryTake(path: string, ownerPath: string, guard: string | undefined): FolderLock | undefined
}

interface Sighting {
  readonly identity: string
  readonly mtimeNs: bigint
  readonly sinceMs: number
}

/**
 * The protocol of `proper-lockfile`: `mkdir` takes the lock, the folder's time says that its owner lives, `rmdir` gives it back. Tools that
 * use that package and this code exclude each other; `test/proper-lockfile.test.ts` has the stock package as judge.
 *
 * It is not the package itself, because importing that leaves a listener on every signal: a host's `process.once('SIGTERM', cleanUp)` is then
 * killed in the middle of its clean-up. The same test shows it.
 */
export function folderLocks(options: FolderLockOptions): FolderLocks {
  const sightings = new Map<string, Sighting>()
  let known: ReturnType<typeof thisProcess> | undefined

  /** Asked of the system when a lock is first taken, never at start-up. */
  function self(): ReturnType<typeof thisProcess> {
    known ??= thisProcess()
    return known
  }

  function tryTake(path: string, ownerPath: string, guard: string | undefined): FolderLock | undefined {
    const made = make(path)
    if (made) return own(path, ownerPath, guard, false)
    const orphan = orphanAt(path, ownerPath, guard)
    if (orphan === undefined) return undefined
    removeOrphan(path, orphan)
    return make(path) ? own(path, ownerPath, guard, true) : undefined
  }

  /** undefined: it was removed the moment it was made. */
  function own(path: string, ownerPath: string, guard: string | undefined, recovered: boolean): FolderLock | undefined {
    sightings.delete(path)
    const made = begin(path, ownerPath, guard ?? '')
    if (!made) return undefined
    const identity = identityOf(made)
    let { mtimeNs }: { mtimeNs: bigint | undefined } = made
    const intact = (): boolean => {
      const stat = lstatOf(path)
      return stat !== undefined && identityOf(stat) === identity && stat.mtimeNs === mtimeNs
    }
    const beat = (): boolean => {
      if (!intact()) return false
      mtimeNs = touch(path)?.mtimeNs
      return mtimeNs !== undefined
    }
    const release = (): void => {
      const stat = lstatOf(path)
      // Somebody may have taken it for an orphan and made his own.
      if (stat && identityOf(stat) === identity) rmdirSync(path)
    }
    return { recovered, intact, beat, release }
  }

  function begin(path: string, ownerPath: string, guard: string): BigIntStats | undefined {
    try {
      const made = touch(path)
      if (made) writeOwner(ownerPath, { ...self(), guard, lock: identityOf(made) })
      return made
    } catch (error) {
      rmdirSync(path)
      throw unavailable(`writing ${ownerPath}`, error)
    }
  }

  /** The folder, with its time as the file system keeps it; undefined when it is gone. */
  function touch(path: string): BigIntStats | undefined {
    const seconds = options.now() / 1000
    try {
      utimesSync(path, seconds, seconds)
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined
      throw error
    }
    return lstatOf(path)
  }

  /** The identity of a lock that may be removed: its owner is dead, or it has stood still for too long. */
  function orphanAt(path: string, ownerPath: string, guard: string | undefined): string | undefined {
    const stat = lstatOf(path)
    if (!stat) return undefined
    const identity = identityOf(stat)
    const owner = readOwner(ownerPath)
    if (owner?.lock === identity) {
      const state = stateOfOwner(owner, self())
      if (state === 'dead') return identity
      // A stopped owner looks like a dead one to the clock. It is not, unless the very guard that it held is ours now: it may have none, or one that was deleted since.
      if (state === 'alive' && owner.guard !== guard) return undefined
    }
    return standsStill(path, identity, stat.mtimeNs) ? identity : undefined
  }

  function standsStill(path: string, identity: string, mtimeNs: bigint): boolean {
    const seen = sightings.get(path)
    const nowMs = options.monotonicMs()
    if (seen?.identity === identity && seen.mtimeNs === mtimeNs) return nowMs - seen.sinceMs >= options.staleMs
    sightings.set(path, { identity, mtimeNs, sinceMs: nowMs })
    return false
  }

  return { tryTake }
}

function make(path: string): boolean {
  try {
    mkdirSync(path, 0o700)
    return true
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw unavailable(`locking ${path}`, error)
    const stat = lstatOf(path)
    if (stat?.isSymbolicLink()) throw unsafe(path, 'is a symbolic link', 'remove the link')
    if (stat && !stat.isDirectory()) throw unsafe(path, 'is not a folder', 'remove it')
    return false
  }
}

/**
 * Moves the folder away before it removes it: of several processes that judge the same orphan without a kernel lock, one can move it.
 * A lock that was made in the moment between the judgement and the move is put back.
 */
function removeOrphan(path: string, judged: string): void {
  const aside = temporaryName(path)
  try {
    renameSync(path, aside)
    if (identityAt(aside) !== judged && !lstatOf(path)) renameSync(aside, path)
    else rmdirSync(aside)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return
    if (systemCode(error) !== 'ENOTEMPTY') throw unavailable(`removing the orphan ${path}`, error)
    throw unsafe(aside, 'is not empty', 'it stood where a lock belongs and was moved aside: remove it')
  }
}

function identityAt(path: string): string {
  const stat = lstatOf(path)
  return stat ? identityOf(stat) : ''
}

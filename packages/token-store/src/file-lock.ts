import { readdirSync, unlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { invalidOption, McpAuthError, publish, type StoreKey, type TransactOptions } from '@mcpauth/core'
import type { FaultPoint, StoreProbe } from './fault-points.ts'
import { type KernelLock, type KernelLocks, kernelLocks } from './kernel-lock.ts'
import { type FolderLock, folderLocks } from './lock-folder.ts'
import { holderOf, readOwner } from './lock-owner.ts'
import { lockTimeout } from './lock-timeout.ts'
import { isTemporaryOf } from './private-file.ts'
import { holding, refuseReentry } from './re-entrancy.ts'
import { signalShield } from './signal-shield.ts'
import { describeKey, storeFileName } from './store-key.ts'
import { ensureFolderOf, networkFileSystemOf, noRoot, storeRoot } from './store-root.ts'
import { createTurns } from './turns.ts'

/** Options of {@link fileLock}. */
export interface FileLockOptions {
  /** The folder of the lock files. @default `MCPAUTH_AUTH_DIR`, else `~/.mcpauth/auth` */
  root?: string
  /** Where `MCPAUTH_AUTH_DIR` is looked up. @default process.env */
  env?: Readonly<Record<string, string | undefined>>
  /**
   * How long a `.lock` must stand still before it is taken for an orphan, in milliseconds, when its owner cannot be asked: a tool that leaves
   * no word, or another machine. At least 100. Owners of this machine are known to be dead at once. @default 30000
   */
  staleMs?: number
  /** How often the holder shows that it lives, in milliseconds; tools that use proper-lockfile give it up after 10 seconds. @default 5000 */
  updateMs?: number
  /** The wall clock, in milliseconds since the epoch. @default Date.now */
  now?: () => number
  /** Seams for tests. */
  probe?: StoreProbe
}

/** A lock that all processes of this machine share. */
export interface FileLock {
  /** Where the lock files are; undefined when this user has no home folder. */
  readonly root: string | undefined
  /**
   * Runs `work` while this process alone holds the lock of `key`.
   *
   * @param work Its argument is aborted when the lock was lost in spite of everything; reading `aborted` looks at the files again.
   * @throws `MCPAUTH_LOCK_TIMEOUT` naming the holder, `MCPAUTH_LOCK_REENTRANT`, `MCPAUTH_STORE_UNSAFE`, `MCPAUTH_STORE_UNAVAILABLE`
   */
  hold<T>(key: StoreKey, work: (lock: HeldLock) => Promise<T>, options: TransactOptions): Promise<T>
}

/** A lock while it is held. */
export interface HeldLock {
  /** Aborted when the lock was lost. Each look at it looks at the lock's files first, so look just before a request is sent. */
  readonly lost: AbortSignal
}

interface Taken {
  readonly folder: FolderLock
  readonly kernel: KernelLock | undefined
}

/**
 * The lock around every write of a token: two locks, one in the other.
 *
 * The outer one is the kernel's, on a `.guard` file that is made once and never deleted: it is free the moment its holder dies, and still held
 * while its holder is stopped. The inner one is the `.lock` folder of proper-lockfile, which other tools can see. Within one process callers
 * queue; between processes they poll, at 8 to 60 ms.
 *
 * While a lock other than a login's is held, SIGINT, SIGTERM and SIGHUP wait for its release, at most five seconds.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 */
export function fileLock(options: FileLockOptions = {}): FileLock {
  // biome-ignore lint/style/noProcessEnv: the one place of this package, and only a default
  const { env = process.env, staleMs = 30_000, updateMs = 5_000, now = Date.now, probe = {} } = options
  requireAtLeast('staleMs', staleMs, 100)
  requireAtLeast('updateMs', updateMs, 10)
  const root = storeRoot(options.root, env)
  const turns = createTurns()
  const monotonicMs = probe.monotonicMs ?? (() => performance.now())
  const folders = folderLocks({ staleMs, now, monotonicMs })
  const warned = new Set<string>()
  let kernel: { locks: KernelLocks | undefined } | undefined

  function warnOnce(problem: string, facts: Readonly<Record<string, unknown>>): void {
    if (warned.has(problem)) return
    warned.add(problem)
    publish('mcpauth:lock:warning', { problem, ...facts })
  }

  function prepare(name: string): string {
    if (root === undefined) throw noRoot()
    const stem = join(root, name)
    ensureFolderOf(root, stem, (folder, mode) =>
      publish('mcpauth:store:warning', { problem: 'wide-mode', path: folder, mode: mode.toString(8) })
    )
    const network = networkFileSystemOf(root, probe.statfsType)
    if (network)
      warnOnce('network-file-system', { root, fileSystem: network, hint: 'keep the cache on a local disk: locks are unreliable here' })
    return stem
  }

  /** Loaded when a lock is first needed, never at start-up. */
  function kernelLocksOnce(): KernelLocks | undefined {
    kernel ??= { locks: probe.kernelLocks ? probe.kernelLocks() : kernelLocks() }
    if (!kernel.locks) warnOnce('no-kernel-lock', { root, hint: 'start Node without --no-experimental-sqlite' })
    return kernel.locks
  }

  async function hold<T>(key: StoreKey, work: (lock: HeldLock) => Promise<T>, transact: TransactOptions): Promise<T> {
    const described = describeKey(key)
    const name = storeFileName(key)
    refuseReentry(turns, name, described)
    const stem = prepare(name)
    const untilMs = monotonicMs() + transact.deadlineMs
    const leave = await turns.enter(name, transact.deadlineMs, transact.waiter)
    if (!leave) throw lockTimeout(described, transact.deadlineMs, readOwner(`${stem}.owner`))
    try {
      const taken = await take(stem, untilMs, transact.waiter)
      if (!taken) throw lockTimeout(described, transact.deadlineMs, holderOf(stem))
      // A login lasts minutes, and who presses Ctrl-C means it.
      const lower = key.kind === 'login' ? undefined : signalShield().raise()
      try {
        return await holding(turns, name, () => workHeld(stem, taken, work))
      } finally {
        lower?.()
      }
    } finally {
      leave()
    }
  }

  /** Both locks, or undefined when the time is over. */
  async function take(stem: string, untilMs: number, waiter: AbortSignal | undefined): Promise<Taken | undefined> {
    const locks = kernelLocksOnce()
    let kernelLock: KernelLock | undefined
    let taken: Taken | undefined
    try {
      for (let round = 0; ; round += 1) {
        waiter?.throwIfAborted()
        kernelLock ??= locks?.tryTake(`${stem}.guard`)
        // While somebody else's .lock is waited for, the guard stays ours: no other process needs to look at it meanwhile.
        const folder = kernelLock || !locks ? folders.tryTake(`${stem}.lock`, `${stem}.owner`, kernelLock?.identity) : undefined
        if (folder) {
          taken = { folder, kernel: kernelLock }
          return taken
        }
        const leftMs = untilMs - monotonicMs()
        if (leftMs <= 0) return undefined
        await sleep(Math.min(leftMs, pauseMs(round)), undefined, waiter ? { signal: waiter } : {}).catch(() => undefined)
      }
    } finally {
      if (!taken) kernelLock?.release()
    }
  }

  async function workHeld<T>(stem: string, taken: Taken, work: (lock: HeldLock) => Promise<T>): Promise<T> {
    const lost = new AbortController()
    const look = (): void => {
      if (!lost.signal.aborted && !isIntact(taken)) lost.abort(lockLost(stem))
    }
    const heart = setInterval(() => {
      if (!beats(taken)) lost.abort(lockLost(stem))
    }, updateMs).unref()
    const held: HeldLock = {
      get lost() {
        look()
        return lost.signal
      }
    }
    try {
      if (taken.folder.recovered) sweep(stem)
      await at('lock-taken')
      return await work(held)
    } finally {
      await at('before-release')
      clearInterval(heart)
      release(taken, stem)
    }
  }

  async function at(point: FaultPoint): Promise<void> {
    await probe.at?.(point)
  }

  return { root, hold }
}

function lockLost(stem: string): McpAuthError {
  return new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', `the lock ${stem}.lock was taken away from this process while it held it`, {
    hint: 'try again; if it comes back, look for a program that removes files there'
  })
}

function isIntact({ folder, kernel }: Taken): boolean {
  try {
    return folder.intact() && (kernel?.intact() ?? true)
  } catch {
    return false
  }
}

function beats({ folder, kernel }: Taken): boolean {
  try {
    return folder.beat() && (kernel?.intact() ?? true)
  } catch {
    return false
  }
}

function release({ folder, kernel }: Taken, stem: string): void {
  try {
    folder.release()
  } catch (error) {
    // The work is done and its result stands; who comes next finds an orphan.
    publish('mcpauth:lock:warning', { problem: 'release-failed', path: `${stem}.lock`, code: (error as NodeJS.ErrnoException).code })
  } finally {
    kernel?.release()
  }
}

/** 8 to 60 ms, at random within that, so that waiters do not march in step. */
function pauseMs(round: number): number {
  return Math.min(8 * 1.3 ** Math.min(round, 20), 60) * (0.5 + Math.random() / 2)
}

/** A holder that crashed may have left temporary files; nobody else can be using those of a key whose lock is held. */
function sweep(stem: string): void {
  const folder = dirname(stem)
  for (const name of readdirSync(folder)) {
    if (!isTemporaryOf(basename(stem), name)) continue
    try {
      unlinkSync(join(folder, name))
    } catch {
      // A folder, or gone already.
    }
  }
}

function requireAtLeast(option: string, value: number, least: number): void {
  if (!(Number.isFinite(value) && value >= least)) throw invalidOption(option, `is not a number of milliseconds of at least ${least}`)
}

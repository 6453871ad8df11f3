import { closeSync, constants, openSync, readFileSync, readlinkSync, readSync, writeSync } from 'node:fs'
import { hostname } from 'node:os'
import type { Holder } from './lock-timeout.ts'
import { createNew, identityOf, lstatOf, removeQuietly } from './private-file.ts'

/** Who made a `.lock`, on disk beside it as `.owner`. It says enough to prove that its process is dead. */
export interface LockOwner extends Holder {
  readonly v: 1
  /** When the process started, in the kernel's clock ticks since boot; empty where `/proc` is absent. */
  readonly start: string
  /** This boot of this machine. */
  readonly boot: string
  /** The pid namespace, in which alone the pid means something. */
  readonly pidns: string
  /** The guard that is held with it; empty when there is none. */
  readonly guard: string
  /** The identity of the `.lock` this is about. */
  readonly lock: string
}

/** This process, as an owner. */
export function thisProcess(): Omit<LockOwner, 'guard' | 'lock'> {
  return { v: 1, pid: process.pid, start: startOf(process.pid)?.start ?? '', boot: bootId(), pidns: pidNamespace(), host: hostname() }
}

/**
 * Leaves word of who holds the lock, in place of what the last holder left. Not by a rename over the old file: ext4 flushes what replaces a
 * file, which costs four times the rest of the lock. Who reads half a record cannot parse it, and waits as if there were none.
 */
export function writeOwner(path: string, owner: LockOwner): void {
  removeQuietly(path)
  const file = openSync(path, createNew, 0o600)
  try {
    writeSync(file, JSON.stringify(owner))
  } finally {
    closeSync(file)
  }
}

/** What the last holder left, or undefined: absent, not ours to read, or not in this form. */
export function readOwner(path: string): LockOwner | undefined {
  try {
    const file = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0))
    try {
      const buffer = Buffer.alloc(4096)
      const value: unknown = JSON.parse(buffer.toString('utf8', 0, readSync(file, buffer, 0, buffer.length, 0)))
      return isOwner(value) ? value : undefined
    } finally {
      closeSync(file)
    }
  } catch {
    return undefined
  }
}

/** The holder of the lock of a record whose files' names begin with `stem`, if the word that was left is about the lock that stands there now. */
export function holderOf(stem: string): LockOwner | undefined {
  const owner = readOwner(`${stem}.owner`)
  const stat = lstatOf(`${stem}.lock`)
  return owner && stat && owner.lock === identityOf(stat) ? owner : undefined
}

/** Whether the process that made the lock lives. `unknown`: on another machine, in another boot, or in another pid namespace. */
export function stateOfOwner(owner: LockOwner, self: Omit<LockOwner, 'guard' | 'lock'>): 'alive' | 'dead' | 'unknown' {
  if (owner.boot === '' || owner.boot !== self.boot || owner.host !== self.host || owner.pidns !== self.pidns) return 'unknown'
  const now = startOf(owner.pid)
  if (!now) return 'dead'
  // A pid is used again, with another start time; a zombie has let go of everything.
  return now.start !== owner.start || now.state === 'Z' || now.state === 'X' ? 'dead' : 'alive'
}

function startOf(pid: number): { start: string; state: string } | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  // The command's name stands in parentheses and may hold anything, also spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? '', start: fields[19] ?? '' }
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    // Without /proc nobody can be proven dead, and an orphan is removed only after it has stood still.
    return ''
  }
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return ''
  }
}

function isOwner(value: unknown): value is LockOwner {
  const owner = (value ?? {}) as Record<string, unknown>
  const texts = ['start', 'boot', 'pidns', 'host', 'guard', 'lock']
  return (
    owner.v === 1 && Number.isSafeInteger(owner.pid) && (owner.pid as number) > 0 && texts.every((name) => typeof owner[name] === 'string')
  )
}

import type { KernelLocks } from './kernel-lock.ts'

/** The moments of a critical section at which a test can end, stop or disturb a process. */
export type FaultPoint = 'lock-taken' | 'temp-written' | 'temp-synced' | 'renamed' | 'before-release'

/** What tests, and only tests, put in place of the real thing. Nothing here is read from the environment. */
export interface StoreProbe {
  /** Called at each point; what it returns is awaited. */
  at?(point: FaultPoint): void | Promise<void>
  /** The magic number of a folder's file system. @default statfs */
  statfsType?(folder: string): number
  /** The kernel locks; returns undefined for a Node without `node:sqlite`. */
  kernelLocks?(): KernelLocks | undefined
  /** The monotonic clock, in milliseconds. @default performance.now */
  monotonicMs?(): number
  /** Puts a file in place. @default atomic and synced */
  replaceFile?(path: string, bytes: Uint8Array): Promise<void>
}

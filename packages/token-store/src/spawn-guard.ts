import { join } from 'node:path'
import type { McpAuthError, StoreKey } from '@mcpauth/core'
import { type KernelLock, kernelLocks } from './kernel-lock.ts'
import { holderOf } from './lock-owner.ts'
import { lockTimeout } from './lock-timeout.ts'
import { describeKey, storeFileName } from './store-key.ts'
import { ensureFolderOf } from './store-root.ts'

/** Who may start a helper, and who has one. */
export interface SpawnGuard {
  /** undefined: somebody else holds it. */
  tryTake(): KernelLock | undefined
  /** The error of who has waited too long for a helper: it names the process that holds the record's lock, which is the helper once it works. */
  timeout(waitedMs: number): McpAuthError
}

/**
 * Says, between processes, who may start a helper for a key: whoever holds the kernel lock on its `.spawn.guard`. Without it every process that
 * waits for a token would start one. It falls when its holder dies; the helper that was started goes on.
 *
 * @param root The store's folder.
 */
export function spawnGuard(root: string, key: StoreKey): SpawnGuard {
  const stem = join(root, storeFileName(key))
  const path = `${stem}.spawn.guard`
  const locks = kernelLocks()
  return {
    tryTake() {
      ensureFolderOf(root, path, () => undefined)
      // Without kernel locks everyone may; the record's own lock still lets one at a time ask.
      return locks ? locks.tryTake(path) : { identity: '', intact: () => true, release: () => undefined }
    },
    timeout: (waitedMs) => lockTimeout(describeKey(key), waitedMs, holderOf(stem))
  }
}

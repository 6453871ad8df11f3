import { join } from 'node:path'
import type { StoreKey } from '@mcpauth/core'
import { type KernelLock, kernelLocks } from './kernel-lock.ts'
import { storeFileName } from './store-key.ts'
import { ensureFolderOf } from './store-root.ts'

/**
 * Says, between processes, who may start a helper for a key: whoever holds the kernel lock on its `.spawn.guard`. Without it every process that
 * waits for a token would start one. It falls when its holder dies; the helper that was started goes on.
 *
 * @param root The store's folder.
 */
export function spawnGuard(root: string, key: StoreKey): { tryTake(): KernelLock | undefined } {
  const path = join(root, `${storeFileName(key)}.spawn.guard`)
  const locks = kernelLocks()
  return {
    tryTake() {
      ensureFolderOf(root, path, () => undefined)
      // Without kernel locks everyone may; the record's own lock still lets one at a time ask.
      return locks ? locks.tryTake(path) : { identity: '', intact: () => true, release: () => undefined }
    }
  }
}

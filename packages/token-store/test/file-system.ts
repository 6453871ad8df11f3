import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { onTestFinished, vi } from 'vitest'

type Synchronous = 'fchmodSync' | 'fsyncSync' | 'openSync' | 'readFileSync' | 'readlinkSync' | 'renameSync' | 'writeFileSync'

/** Watches a call of `node:fs` until the test is over; with `instead`, which is given the real one, that is done in its place. */
export function fileSystemCall<Name extends Synchronous>(
  name: Name,
  instead?: (real: (typeof fs)[Name]) => (...given: never[]) => unknown
): ReturnType<typeof vi.fn> {
  const real = fs[name]
  const spy = vi.spyOn(fs, name as 'fsyncSync')
  if (instead) spy.mockImplementation(instead(real) as never)
  // The sources import the functions by name.
  syncBuiltinESMExports()
  onTestFinished(() => {
    spy.mockRestore()
    syncBuiltinESMExports()
  })
  return spy as never
}

/** Refuses as the system does. */
export function refusal(code: string): () => never {
  return () => {
    throw Object.assign(new Error(code), { code })
  }
}

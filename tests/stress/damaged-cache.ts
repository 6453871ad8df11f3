import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { canonicalServerUrl, McpAuthError } from '@mcpauth/core'
import { fileStore, storeFileName } from '@mcpauth/token-store'
import type { Goal } from './goal.ts'
import { startWorld } from './world.ts'

/** R8: whatever is in the file, a person can do something about it, and it is never another server's. */
export const damagedCache: Goal = {
  name: 'R8',
  promise: 'the cache truncated at every byte and with bits flipped: no throw without a hint, no token of another server',
  async run({ rounds }) {
    await using world = await startWorld()
    const path = join(world.root, `${storeFileName(world.key)}.json`)
    const whole = readFileSync(path)
    const figures = { truncated: 0, flipped: 0, helplessThrows: 0, foreignTokens: 0, usable: 0 }

    async function readAs(bytes: Uint8Array): Promise<void> {
      writeFileSync(path, bytes, { mode: 0o600 })
      try {
        const record = await fileStore({ root: world.root }).read(world.key)
        figures.usable += Number(record?.access_token !== undefined)
        const named = record?.server_url
        if (named !== undefined && canonicalServerUrl(named) !== world.server.href) figures.foreignTokens += 1
      } catch (error) {
        if (!McpAuthError.is(error) || error.hint === undefined) figures.helplessThrows += 1
      }
    }

    for (let length = 0; length < whole.length; length += 1) {
      await readAs(whole.subarray(0, length))
      figures.truncated += 1
    }
    for (let flip = 0; flip < rounds * 10; flip += 1) {
      const bytes = Buffer.from(whole)
      // Every bit in turn, with a step that is prime to most lengths.
      const bit = (flip * 7919) % (whole.length * 8)
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
      await readAs(bytes)
      figures.flipped += 1
    }
    return { passed: figures.helplessThrows === 0 && figures.foreignTokens === 0, figures }
  }
}

import { AsyncLocalStorage } from 'node:async_hooks'
import { McpAuthError } from '@mcpauth/core'

interface Holding {
  readonly owner: object
  readonly name: string
  readonly outer: Holding | undefined
  over: boolean
}

const holdings = new AsyncLocalStorage<Holding>()

/**
 * Refuses to wait for a lock that the caller's own call chain holds: it would wait for itself until the deadline.
 *
 * @param owner Whose locks the name belongs to.
 * @throws `MCPAUTH_LOCK_REENTRANT`
 */
export function refuseReentry(owner: object, name: string, described: string): void {
  for (let holding = holdings.getStore(); holding; holding = holding.outer) {
    if (holding.over || holding.owner !== owner || holding.name !== name) continue
    throw new McpAuthError('MCPAUTH_LOCK_REENTRANT', `the lock of ${described} is asked for by the work that holds it`, {
      hint: 'use the record that transact passes to its work, and start nothing there that needs the same token'
    })
  }
}

/** Runs `work` as the holder of a lock, for {@link refuseReentry}. */
export async function holding<T>(owner: object, name: string, work: () => Promise<T>): Promise<T> {
  const mine: Holding = { owner, name, outer: holdings.getStore(), over: false }
  try {
    return await holdings.run(mine, work)
  } finally {
    // What the work left running keeps its context; it may ask again now.
    mine.over = true
  }
}

import { type HeldRecord, McpAuthError, type StoreKey, type TokenRecord, type TokenStore, type TransactOptions } from '@mcpauth/core'
import { lockTimeout } from './lock-timeout.ts'
import { holding, refuseReentry } from './re-entrancy.ts'
import { canonicalKey, describeKey, storeFileName } from './store-key.ts'
import { holdsSomething, parseRecord, serializeRecord, tombstoneOf } from './token-record.ts'
import { createTurns } from './turns.ts'

/**
 * Keeps tokens in memory, for as long as the store lives: for tests, and for programs that must leave nothing behind.
 * Another process does not see them, so two processes must not share one refresh token this way.
 *
 * @example
 * ```ts
 * import { memoryStore } from '@mcpauth/token-store'
 *
 * const store = memoryStore()
 * const key = { kind: 'server', url: 'https://mcp.example.com/mcp' } as const
 * await store.transact(key, (held) => held.write({ access_token: 'short-lived', generation: 1 }), { deadlineMs: 1000 })
 * ```
 */
export function memoryStore(): TokenStore {
  const records = new Map<string, { key: StoreKey; bytes: Uint8Array }>()
  const turns = createTurns()

  function get(name: string): TokenRecord | undefined {
    const kept = records.get(name)
    if (!kept) return undefined
    // Kept as bytes, so that neither side can change the other's object.
    const parsed = parseRecord(kept.bytes, kept.key)
    return parsed.outcome === 'record' ? parsed.record : undefined
  }

  async function read(key: StoreKey): Promise<TokenRecord | undefined> {
    return get(storeFileName(key))
  }

  async function list(): Promise<StoreKey[]> {
    const all = [...records].map(([name, { key }]) => ({ key, record: get(name) }))
    return all.filter(({ key, record }) => record && key.kind !== 'login' && holdsSomething(record, key.kind)).map(({ key }) => key)
  }

  async function transact<T>(key: StoreKey, work: (held: HeldRecord) => Promise<T>, options: TransactOptions): Promise<T> {
    const name = storeFileName(key)
    refuseReentry(records, name, describeKey(key))
    const leave = await turns.enter(name, options.deadlineMs, options.waiter)
    if (!leave) throw lockTimeout(describeKey(key), options.deadlineMs, undefined)
    const held = hold(name, canonicalKey(key))
    try {
      return await holding(records, name, () => work(held.record))
    } finally {
      held.end()
      leave()
    }
  }

  function hold(name: string, key: StoreKey): { record: HeldRecord; end(): void } {
    let over = false
    const put = (record: TokenRecord): void => {
      if (over) throw writeAfterRelease(key)
      records.set(name, { key, bytes: serializeRecord(record, key) })
    }
    const record: HeldRecord = {
      read: async () => get(name),
      write: async (next) => put(next),
      clear: async () => {
        const current = get(name)
        if (current) put(tombstoneOf(current))
      },
      // Nothing can take this lock away.
      lost: new AbortController().signal
    }
    return {
      record,
      end: () => {
        over = true
      }
    }
  }

  return { read, list, transact }
}

/** There is no unlocked write: what is still running when its `transact` has ended may not write any more. */
export function writeAfterRelease(key: StoreKey): McpAuthError {
  return new McpAuthError('MCPAUTH_CLOSED', `the lock of ${describeKey(key)} has been released: nothing can be written any more`, {
    hint: 'await every write inside the work that transact runs'
  })
}

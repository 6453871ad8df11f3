import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { type AccessToken, McpAuthError, publish, type StoreKey, type TokenRecord, type TokenStore } from '@mcpauth/core'
import { hasTokens, refreshedRecord } from './access-token.ts'
import { adoptWhileWaiting } from './adopt-while-waiting.ts'
import { mayHaveArrived } from './authorization-server-client.ts'
import { OAuthResponseError } from './oauth-response-error.ts'
import { refreshRefusal } from './refresh-refusal.ts'
import type { TokenResponse } from './token-response.ts'

/** One refresh, asked for by whoever noticed first. */
export interface RefreshTask {
  store: TokenStore
  key: StoreKey
  /** The token that is not to be used any more: refused, expired, or about to. */
  stale: Pick<AccessToken, 'value'> | undefined
  now: () => number
  /** How long the lock is waited for, in milliseconds. @default long enough for a discovery (30 s) and a refresh (60 s) that is made twice */
  lockWaitMs?: number
  /** How long a write that fails is tried again under the lock, in milliseconds. @default 0: it goes on in memory */
  insistMs?: number
  /** A record that could not be written and is newer than what the store has. */
  unsaved: () => TokenRecord | undefined
  /** Whether the record's refresh token may still be sent; false means that the resource has moved to another authorization server. */
  mayRefresh: (record: TokenRecord) => Promise<boolean>
  /** Sends the refresh token of this very record. `beforeSend` is called the moment before it is written, and throws when the lock is gone by then. */
  send: (record: TokenRecord, refreshToken: string, beforeSend: () => void) => Promise<TokenResponse>
}

/** How it ended. `impossible` deletes nothing, except for `dead`: then this generation is gone from the store. */
export type RefreshOutcome =
  | { kind: 'adopted'; record: TokenRecord }
  | { kind: 'refreshed'; record: TokenRecord; saved: boolean }
  | {
      kind: 'impossible'
      why: 'no-refresh-token' | 'moved' | 'dead' | 'refused'
      record: TokenRecord | undefined
      error?: OAuthResponseError
    }

const defaultLockWaitMs = 180_000
const insistPauseMs = 250

/**
 * Lock → read again → ask → write → release (docs/architecture.md, "One refresh, whatever happens"). Many processes share one refresh token, and a server that
 * detects reuse revokes everything: so never without the lock, and never a remembered refresh token.
 *
 * @throws `MCPAUTH_LOCK_TIMEOUT`, `MCPAUTH_NETWORK`, `MCPAUTH_TIMEOUT`, `MCPAUTH_OAUTH_RESPONSE` (5xx, 429, not JSON): nothing has been deleted.
 */
export async function refreshOnce(task: RefreshTask): Promise<RefreshOutcome> {
  async function adoptable(): Promise<RefreshOutcome | undefined> {
    const record = newer(await task.store.read(task.key), task.unsaved())
    return record && isUsable(record, task) ? { kind: 'adopted', record } : undefined
  }
  return await adoptWhileWaiting(adoptable, (waiter, started) => refreshLocked(task, waiter, started))
}

async function refreshLocked(task: RefreshTask, waiter: AbortSignal, started: () => void): Promise<RefreshOutcome> {
  return await task.store.transact(
    task.key,
    async (held) => {
      started()
      const stored = await held.read()
      const record = newer(stored, task.unsaved())
      if (record && isUsable(record, task)) return { kind: 'adopted', record }
      if (!record?.refresh_token) return { kind: 'impossible', why: 'no-refresh-token', record }
      if (!(await task.mayRefresh(record))) return { kind: 'impossible', why: 'moved', record }
      const stillHeld = (): void => held.lost.throwIfAborted()
      // One turn of the event loop, so that news of a lost lock that has already reached this process is heard before anything is prepared.
      await setImmediate()
      stillHeld()
      const refreshToken = record.refresh_token
      let response: TokenResponse
      try {
        response = await sendOnceMoreWhenDropped(() => task.send(record, refreshToken, stillHeld))
      } catch (error) {
        return await afterRefusal(error)
      }
      return await keep(refreshedRecord(record, response, task.now()))

      /** The server said no. Only its clear word kills the grant, and only this generation of it. */
      async function afterRefusal(error: unknown): Promise<RefreshOutcome> {
        if (!(error instanceof OAuthResponseError)) throw error
        const refusal = refreshRefusal(error, record?.token_endpoint)
        if (refusal === 'unavailable') throw error
        const now = await held.read()
        // Compared with what was stored, not with what was sent: a record that could not be written has only its used-up predecessor there.
        if (now?.access_token && !(stored && isSameGrant(now, stored))) return { kind: 'adopted', record: now }
        if (refusal === 'refused') return { kind: 'impossible', why: 'refused', record, error }
        await held.clear()
        publish('mcpauth:token:cleared', { server: task.key.kind === 'server' ? task.key.url : '', generation: record?.generation ?? 0 })
        return { kind: 'impossible', why: 'dead', record: await held.read(), error }
      }

      /** Written before anyone uses it. */
      async function keep(next: TokenRecord): Promise<RefreshOutcome> {
        const now = await held.read().catch(() => undefined)
        // Somebody has logged out meanwhile: what comes too late must not bring the login back.
        if (now && !hasTokens(now) && (now.generation ?? 0) >= (next.generation ?? 0)) {
          return { kind: 'impossible', why: 'no-refresh-token', record: now }
        }
        // The lock was lost meanwhile and somebody has moved on; ours would overwrite a newer grant.
        if (now?.refresh_token !== undefined && now.refresh_token !== refreshToken && (now.generation ?? 0) >= (next.generation ?? 0)) {
          return { kind: 'adopted', record: now }
        }
        return { kind: 'refreshed', record: next, saved: await written(() => held.write(next), task.insistMs ?? 0) }
      }
    },
    { deadlineMs: task.lockWaitMs ?? defaultLockWaitMs, waiter }
  )
}

/** Whether a record makes a refresh needless: its token is neither the stale one nor over. */
export function isUsable(record: TokenRecord, { stale, now }: Pick<RefreshTask, 'stale' | 'now'>): boolean {
  if (!record.access_token) return false
  if (stale && record.access_token === stale.value) return false
  return record.expires_at_unix === undefined || record.expires_at_unix * 1000 > now()
}

/** The newest record: the stored one, or one that could not be written yet. */
export function newer(stored: TokenRecord | undefined, unsaved: TokenRecord | undefined): TokenRecord | undefined {
  return unsaved && (unsaved.generation ?? 0) > (stored?.generation ?? 0) ? unsaved : stored
}

function isSameGrant(a: TokenRecord, b: TokenRecord): boolean {
  return (a.generation ?? 0) === (b.generation ?? 0) && a.refresh_token === b.refresh_token
}

/** A connection that broke after the request was sent. Once more, at once, under the lock: servers that allow it allow it for seconds. */
async function sendOnceMoreWhenDropped(send: () => Promise<TokenResponse>): Promise<TokenResponse> {
  try {
    return await send()
  } catch (error) {
    if (!mayHaveArrived(error)) throw error
    return await send()
  }
}

async function written(write: () => Promise<void>, insistMs: number): Promise<boolean> {
  const until = performance.now() + insistMs
  for (let attempt = 1; ; attempt += 1) {
    try {
      await write()
      return true
    } catch (error) {
      if (attempt < 3) continue
      if (performance.now() < until) {
        await sleep(insistPauseMs)
        continue
      }
      const code = McpAuthError.is(error) ? error.code : (error as NodeJS.ErrnoException).code
      publish('mcpauth:store:warning', { what: 'a refreshed token could not be written and is kept in memory', code })
      return false
    }
  }
}

const saveAgainMs = 5_000

/**
 * Writes a record that could not be written, again and again, until it is written or no longer the newest. Until then other processes hold a refresh
 * token that has been used up. It does not keep the process alive.
 */
export function saveLater(
  store: TokenStore,
  key: StoreKey,
  unsaved: () => TokenRecord | undefined,
  whenSaved: (record: TokenRecord) => void
): void {
  setTimeout(() => void attempt(), saveAgainMs).unref()

  async function attempt(): Promise<void> {
    const record = unsaved()
    if (!record) return
    try {
      await store.transact(
        key,
        async (held) => {
          const stored = await held.read()
          if ((stored?.generation ?? 0) < (record.generation ?? 0)) await held.write(record)
        },
        { deadlineMs: defaultLockWaitMs }
      )
      whenSaved(record)
    } catch {
      saveLater(store, key, unsaved, whenSaved)
    }
  }
}

import type { AuthChallenge } from './auth-challenge.ts'
import type { ReadonlyHeaders, Road } from './interceptor.ts'

/** An access token, in memory. */
export interface AccessToken {
  readonly value: string
  /** The scheme of the `Authorization` header. */
  readonly scheme: 'Bearer' | 'DPoP'
  /** Grows by one with every new token of one record; two tokens with the same generation are the same token. */
  readonly generation: number
  /** Where this process has it from: the store, a refresh of its own, or a grant of its own. */
  readonly origin: 'stored' | 'refreshed' | 'granted'
  /** Milliseconds since the epoch, by the wall clock. Absent: unknown. */
  readonly expiresAtMs?: number
  readonly scopes?: readonly string[]
}

/** A server's answer that says: not with this token. */
export interface Refusal {
  readonly status: 401 | 403
  /** What the answer asks for: another token, a DPoP nonce, a wider scope, a corrected clock. */
  readonly cause: 'token' | 'nonce' | 'scope' | 'clock'
  readonly challenges: readonly AuthChallenge[]
  /** The token that was sent; undefined when none was. */
  readonly token: AccessToken | undefined
  /** Whether this server has ever answered below 400 to this token. */
  readonly accepted: boolean
  readonly request: { readonly method: string; readonly url: URL }
  readonly headers: ReadonlyHeaders
}

/**
 * Where a credential comes from. `withRefreshOn401` puts it on requests and asks for a new one when a server refuses it.
 */
export interface TokenSource {
  /** Called once, when the road is known. A source used before any road takes a dispatcher option of its own. */
  attach?(road: Road): void
  /** The challenge schemes it serves, lower case. @default ['bearer'] */
  readonly schemes?: readonly string[]
  /** The token to send. Synchronous while it is fresh: no I/O and no await on the hot path. undefined: send without, the server's challenge decides. */
  current(): AccessToken | undefined | Promise<AccessToken | undefined>
  /**
   * A token that is not the refused one. One flight per generation and wanted scopes, however many ask.
   * May return the same token when only what `authorize` adds has changed (a nonce).
   *
   * @param waiter Detaches this caller only; what others wait for goes on.
   */
  renew(refusal: Refusal, waiter?: AbortSignal): Promise<AccessToken>
  /** The headers for one request; synchronous. @default `Authorization: Bearer <token>` */
  authorize?(token: AccessToken, request: { readonly method: string; readonly url: URL }): Record<string, string>
  /** Every answer of the bound server, also a 200 (for `DPoP-Nonce` and `Date`). */
  observe?(request: { readonly url: URL }, response: { readonly status: number; readonly headers: ReadonlyHeaders }): void
}

/** What a store keeps, and under which name. URLs are canonical (see `canonicalServerUrl`); `profile` separates identities at one server. */
export type StoreKey =
  /** The tokens of one login. */
  | { readonly kind: 'server'; readonly url: string; readonly profile?: string }
  /** Held while a person logs in. */
  | { readonly kind: 'login'; readonly url: string; readonly profile?: string }
  /** A client registration, kept when the tokens go. */
  | { readonly kind: 'client'; readonly issuer: string }
  /** An identity provider's tokens. */
  | { readonly kind: 'identity'; readonly issuer: string; readonly clientId: string }

/** A registered client, in the words of RFC 7591. */
export interface ClientRecord {
  client_id: string
  client_secret?: string
  client_secret_expires_at?: number
  token_endpoint_auth_method?: string
  redirect_uris?: string[]
  issuer?: string
  [field: string]: unknown
}

/**
 * One record, as it stands on disk. The first six fields alone are a valid record; fields that a version does not know survive it.
 * A record without `access_token` and `refresh_token` is a tombstone: it keeps the generation, so that a late 401 never meets generation 1 again.
 */
export interface TokenRecord {
  access_token?: string
  refresh_token?: string
  token_type?: string
  /** Space-separated, as granted. */
  scope?: string
  /** Seconds since the epoch. */
  expires_at_unix?: number
  /** RFC 3339, UTC. */
  last_refreshed?: string
  /** The format's version; absent means 1. */
  version?: number
  generation?: number
  server_url?: string
  profile?: string
  /** The `resource` (RFC 8707) the tokens were asked for, verbatim. */
  resource?: string
  issuer?: string
  token_endpoint?: string
  /** Space-separated, as asked for. */
  requested_scope?: string
  /** The token's lifetime in seconds, as the server said it. */
  lifetime?: number
  /** The client that the refresh token belongs to; it alone is used with it. */
  client?: ClientRecord
  [field: string]: unknown
}

/** Durable state. There is no unlocked write. */
export interface TokenStore {
  /** The record, or undefined. A damaged record is moved aside and reads as undefined; it never throws for that. */
  read(key: StoreKey): Promise<TokenRecord | undefined>
  /** The keys that hold something; tombstones do not count. */
  list(): Promise<StoreKey[]>
  /**
   * Runs `work` while this holder alone, of all processes and machines that share the store, holds `key`.
   *
   * @throws `MCPAUTH_LOCK_TIMEOUT` when the lock is not free within `deadlineMs`; it names the holder.
   * @throws `MCPAUTH_LOCK_REENTRANT` when `work` asks for a lock that its own caller holds.
   */
  transact<T>(key: StoreKey, work: (held: HeldRecord) => Promise<T>, options: TransactOptions): Promise<T>
}

/** How long a holder-to-be waits. */
export interface TransactOptions {
  /** In milliseconds, by the monotonic clock. */
  readonly deadlineMs: number
  /** Gives up waiting for the lock. Without effect once `work` runs. */
  readonly waiter?: AbortSignal
}

/** The record, while its lock is held. */
export interface HeldRecord {
  read(): Promise<TokenRecord | undefined>
  /** Durable when it resolves. */
  write(record: TokenRecord): Promise<void>
  /** Leaves a tombstone that keeps the generation. */
  clear(): Promise<void>
  /** Aborted when the lock was lost in spite of everything. */
  readonly lost: AbortSignal
}

import type { TokenRecord } from '@mcpauth/core'
import { hasTokens } from './access-token.ts'
import type { Settings } from './options.ts'

/** What is known about a login, without a secret. */
export interface OAuthStatus {
  server: string
  profile?: string
  /** Whether there are tokens at all. */
  loggedIn: boolean
  issuer?: string
  clientId?: string
  /** As granted, space-separated. */
  scope?: string
  /** When the access token ends. */
  expiresAt?: Date
  /** Whether a new access token can be had without a person. */
  canRefresh: boolean
  /** Grows with every token. */
  generation: number
}

/** Describes a record. */
export function statusOf({ server, key, grant }: Pick<Settings, 'server' | 'key' | 'grant'>, record: TokenRecord | undefined): OAuthStatus {
  const loggedIn = hasTokens(record)
  return {
    server: server.href,
    ...(key.profile === undefined ? {} : { profile: key.profile }),
    loggedIn,
    ...(record?.issuer === undefined ? {} : { issuer: record.issuer }),
    ...(record?.client === undefined ? {} : { clientId: record.client.client_id }),
    ...(record?.scope === undefined ? {} : { scope: record.scope }),
    ...(record?.expires_at_unix === undefined ? {} : { expiresAt: new Date(record.expires_at_unix * 1000) }),
    canRefresh: record?.refresh_token !== undefined || (grant !== undefined && grant.interactive !== true),
    generation: record?.generation ?? 0
  }
}

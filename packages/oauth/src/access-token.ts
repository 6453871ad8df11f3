import { type AccessToken, type ClientRecord, secrets, type TokenRecord } from '@mcpauth/core'
import { OAuthResponseError } from './oauth-response-error.ts'
import { scopeWords } from './scope-selection.ts'
import type { TokenResponse } from './token-response.ts'

/**
 * The token of a record, as it is used in memory; undefined for a tombstone.
 *
 * @param owner Whose it is: the tokens that follow let this one go from the registry of secrets.
 */
export function accessTokenOf(record: TokenRecord | undefined, origin: AccessToken['origin'], owner: string): AccessToken | undefined {
  if (!record?.access_token) return undefined
  secrets.add(record.access_token, 'access_token', owner)
  if (record.refresh_token) secrets.add(record.refresh_token, 'refresh_token', owner)
  if (record.client?.client_secret) secrets.add(record.client.client_secret, 'client_secret')
  return {
    value: record.access_token,
    scheme: record.token_type?.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer',
    generation: record.generation ?? 0,
    origin,
    ...(record.expires_at_unix === undefined ? {} : { expiresAtMs: record.expires_at_unix * 1000 }),
    ...(record.scope === undefined ? {} : { scopes: scopeWords(record.scope) })
  }
}

/** Whether a record holds tokens; what is left of those that are gone does not. */
export function hasTokens(record: TokenRecord | undefined): boolean {
  return record?.access_token !== undefined || record?.refresh_token !== undefined
}

/** What the answer itself does not say about the tokens in it. */
export interface GrantFacts {
  issuer: string
  tokenEndpoint: string
  resource: string | undefined
  requestedScope: string | undefined
  client: ClientRecord
  /** The private key that the tokens are bound to. */
  dpopKey?: unknown
  /** Names the secret that the grant came from. */
  seed?: string | undefined
}

/**
 * The record of a new grant. Nothing of the one before it remains but its generation: what this version does not know may belong to the old tokens.
 *
 * @throws `MCPAUTH_OAUTH_RESPONSE` what was issued is no access token (`N_A`, RFC 8693 §2.2.1), and no MCP server may see it.
 */
export function grantedRecord(before: TokenRecord | undefined, response: TokenResponse, facts: GrantFacts, nowMs: number): TokenRecord {
  const { issuer, tokenEndpoint, resource, requestedScope, client, dpopKey, seed } = facts
  if (response.token_type === 'n_a')
    throw new OAuthResponseError('the token answer holds no access token: its type is N_A', { status: 200 })
  return {
    ...lifetimeFields(response, nowMs),
    access_token: response.access_token,
    ...optional('refresh_token', response.refresh_token),
    token_type: typeName(response.token_type),
    // RFC 6749 §5.1: without a scope, what was asked for was granted.
    ...optional('scope', response.scope ?? requestedScope),
    version: 1,
    generation: (before?.generation ?? 0) + 1,
    issuer,
    token_endpoint: tokenEndpoint,
    ...optional('resource', resource),
    ...optional('requested_scope', requestedScope),
    client,
    ...optional('dpop_key', dpopKey),
    ...optional('seed', seed)
  }
}

/** The record after a refresh: what the answer leaves out stays as it was (RFC 6749 §6). */
export function refreshedRecord(before: TokenRecord, response: TokenResponse, nowMs: number): TokenRecord {
  const { expires_at_unix: _end, lifetime: _lifetime, ...kept } = before
  return {
    ...kept,
    ...lifetimeFields(response, nowMs),
    access_token: response.access_token,
    ...optional('refresh_token', response.refresh_token),
    token_type: typeName(response.token_type),
    ...optional('scope', response.scope),
    generation: (before.generation ?? 0) + 1
  }
}

function lifetimeFields({ expires_in }: TokenResponse, nowMs: number): Partial<TokenRecord> {
  return {
    ...(expires_in === undefined ? {} : { expires_at_unix: Math.floor(nowMs / 1000 + expires_in), lifetime: expires_in }),
    last_refreshed: new Date(nowMs).toISOString().replace(/\.\d+Z/, 'Z')
  }
}

function typeName(type: string): string {
  return type === 'dpop' ? 'DPoP' : 'Bearer'
}

function optional<K extends string, V>(name: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [name]: value } as Record<K, V>)
}

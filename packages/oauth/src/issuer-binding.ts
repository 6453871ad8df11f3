import { McpAuthError, safeText, type TokenRecord } from '@mcpauth/core'
import type { OAuthOptions, Settings } from './options.ts'

/**
 * Whether the tokens of a record belong to one of the authorization servers that the resource names now. A record that does not say (written
 * elsewhere) belongs to none of them for certain, so it is bound only to the server's own origin (T2).
 */
export function belongsToIssuer(record: TokenRecord, issuers: readonly string[], server: URL): boolean {
  if (record.issuer !== undefined) return issuers.includes(record.issuer)
  return issuers.some((issuer) => URL.canParse(issuer) && new URL(issuer).origin === server.origin)
}

/**
 * Whether tokens are for the resource, and from the issuer, that the user asks for by name. What the user or the record does not say binds nobody.
 */
export function isAskedFor(record: TokenRecord, { resource, client }: Pick<OAuthOptions, 'resource' | 'client'>): boolean {
  if (resource !== undefined && record.resource !== undefined && record.resource !== resource) return false
  return client?.issuer === undefined || record.issuer === undefined || record.issuer === client.issuer
}

/**
 * Credentials that a user registered somewhere are never used anywhere else (N15, N16).
 *
 * @param clientIssuer Where the client was registered, as far as anyone knows.
 * @throws `MCPAUTH_CLIENT_MISMATCH`
 */
export function checkClientIssuer(clientId: string, clientIssuer: string | undefined, issuer: string): void {
  if (clientIssuer === undefined || clientIssuer === issuer) return
  throw new McpAuthError(
    'MCPAUTH_CLIENT_MISMATCH',
    `the client ${safeText(clientId, 80)} is registered at ${safeText(clientIssuer)}, but the server now uses ${safeText(issuer)}`,
    { hint: 'register a client at the new authorization server and give its id, with client.issuer' }
  )
}

/**
 * A secret that a grant brings goes only where the tokens came from so far: whoever can change what the MCP server says of itself would else be given it (T2).
 * The user's own client says by itself where it belongs; a registration of ours, or a client with a document, is at home everywhere.
 *
 * @param before Where the last tokens came from, as far as anyone knows.
 * @throws `MCPAUTH_CLIENT_MISMATCH`
 */
export function checkSecretIssuer(
  { client, clientMetadataUrl, tokenUrl }: Pick<Settings, 'client' | 'clientMetadataUrl' | 'tokenUrl'>,
  before: string | undefined,
  issuer: string
): void {
  const isChecked = tokenUrl !== undefined || (client !== undefined && client.clientId !== clientMetadataUrl)
  const expected = client?.issuer ?? before
  if (isChecked || expected === undefined || expected === issuer) return
  throw new McpAuthError(
    'MCPAUTH_CLIENT_MISMATCH',
    `the secret of this grant belongs to ${safeText(expected)}, but the server now uses ${safeText(issuer)}`,
    { hint: 'if the server has moved: give a client of the new authorization server, with client.issuer, or its tokenUrl' }
  )
}

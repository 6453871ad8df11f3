import { McpAuthError, safeText } from '@mcpauth/core'
import type { AuthorizationServer } from 'oauth4webapi'
import {
  type ChallengeUrl,
  type DiscoveryContext,
  defaultResource,
  discoverAuthorizationServer,
  discoverLegacyServer,
  discoverResource,
  type ResourceMetadata
} from './discovery.ts'
import { loginErrors } from './login-errors.ts'
import type { Settings } from './options.ts'

/** Where tokens for one MCP server are got, and for what. */
export interface AuthorizationTarget {
  authorizationServer: AuthorizationServer
  /** What is sent as `resource`; undefined only where the user left it out. */
  resource: string | undefined
  /** undefined for servers of before 2025-06-18. */
  metadata: ResourceMetadata | undefined
}

/** A whole discovery, however many documents it reads. */
const discoveryDeadlineMs = 30_000

/**
 * Finds out where tokens come from: the resource's metadata, then that of the authorization server it names; the user's own endpoints win (N2, N5).
 *
 * @param inUse The issuer of the tokens there are; it is kept while the resource still names it.
 * @throws `MCPAUTH_DISCOVERY_FAILED`, `MCPAUTH_ISSUER_MISMATCH`, `MCPAUTH_RESOURCE_MISMATCH`, `MCPAUTH_ADDRESS_REFUSED`, `MCPAUTH_TIMEOUT`
 */
export async function findTarget(
  settings: Settings,
  context: DiscoveryContext,
  challenge: ChallengeUrl & { refused: boolean },
  inUse: string | undefined
): Promise<AuthorizationTarget> {
  const limit = AbortSignal.timeout(discoveryDeadlineMs)
  const bounded = { ...context, signal: context.signal ? AbortSignal.any([context.signal, limit]) : limit }
  const metadata = await discoverResource(bounded, challenge)
  const authorizationServer = await findServer(settings, bounded, metadata, inUse, challenge.refused)
  return { authorizationServer: withOwnEndpoints(authorizationServer, settings), resource: resourceOf(settings, metadata), metadata }
}

async function findServer(
  settings: Settings,
  context: DiscoveryContext,
  metadata: ResourceMetadata | undefined,
  inUse: string | undefined,
  refused: boolean
): Promise<AuthorizationServer> {
  if (!metadata) return await legacyServer(settings, context, refused)
  const issuer = await chooseIssuer(settings, metadata.authorizationServers, inUse)
  const found = await discoverAuthorizationServer(context, issuer)
  if (found) return found
  if (hasOwnEndpoints(settings)) return ownServer(settings, issuer)
  throw new McpAuthError('MCPAUTH_DISCOVERY_FAILED', `${safeText(issuer)} publishes no metadata`, {
    hint: 'give authorizationUrl and tokenUrl if you know them'
  })
}

/** Of a server of before 2025-06-18: its own metadata (N42); what the user's options name may do without, also when it is wrong or away. */
async function legacyServer(settings: Settings, context: DiscoveryContext, refused: boolean): Promise<AuthorizationServer> {
  const own = hasOwnEndpoints(settings) ? ownServer(settings, settings.server.origin) : undefined
  const found = await discoverLegacyServer(context, refused && !own).catch((error: unknown) => {
    if (own && !context.signal?.aborted) return undefined
    throw error
  })
  // A client that the user registered elsewhere stays there.
  const elsewhere = settings.client?.issuer !== undefined && settings.client.issuer !== found?.issuer
  const server = own && elsewhere ? own : (found ?? own)
  if (!server) throw loginErrors(settings).notNeeded()
  return server
}

/** Of several, the one in use; else the one where the user's client is registered; else the first (N5). */
async function chooseIssuer(
  { chooseAuthorizationServer, client }: Settings,
  issuers: readonly string[],
  inUse: string | undefined
): Promise<string> {
  if (chooseAuthorizationServer) {
    const chosen = await chooseAuthorizationServer(issuers)
    if (issuers.includes(chosen)) return chosen
    throw new McpAuthError('MCPAUTH_DISCOVERY_FAILED', 'chooseAuthorizationServer chose an issuer that the server does not name', {
      hint: `it names ${issuers.map((issuer) => safeText(issuer)).join(', ')}`
    })
  }
  const known = [inUse, client?.issuer].find((issuer) => issuer !== undefined && issuers.includes(issuer))
  return known ?? (issuers[0] as string)
}

function hasOwnEndpoints({ authorizationUrl, tokenUrl, login, deviceAuthorizationUrl }: Settings): boolean {
  return tokenUrl !== undefined && (authorizationUrl !== undefined || deviceAuthorizationUrl !== undefined || login === undefined)
}

/** A server without metadata, known only by what the user says; who names its endpoints has read its documentation on PKCE. */
function ownServer({ client }: Settings, issuer: string): AuthorizationServer {
  return { issuer: client?.issuer ?? issuer, code_challenge_methods_supported: ['S256'] }
}

/** The user's word counts for more than any metadata, an alias for client certificates included. */
function withOwnEndpoints(server: AuthorizationServer, settings: Settings): AuthorizationServer {
  const { authorizationUrl, tokenUrl, registrationUrl, revocationUrl, deviceAuthorizationUrl } = settings
  const named = {
    authorization_endpoint: authorizationUrl,
    token_endpoint: tokenUrl,
    registration_endpoint: registrationUrl,
    revocation_endpoint: revocationUrl,
    device_authorization_endpoint: deviceAuthorizationUrl
  }
  const own = Object.fromEntries(Object.entries(named).filter(([, url]) => url !== undefined))
  const { mtls_endpoint_aliases: aliases, ...rest } = server
  const kept = aliases && Object.fromEntries(Object.entries(aliases).filter(([name]) => !Object.hasOwn(own, name)))
  return { ...rest, ...own, ...(kept ? { mtls_endpoint_aliases: kept } : {}) }
}

/** N23, N24: the user's, else the metadata's verbatim, else the server's URL. */
function resourceOf({ dangerouslyOmitResource, resource, server }: Settings, metadata: ResourceMetadata | undefined): string | undefined {
  if (dangerouslyOmitResource) return undefined
  return resource ?? metadata?.resource ?? defaultResource(server)
}

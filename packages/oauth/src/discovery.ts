import { canonicalServerUrl, McpAuthError, safeText } from '@mcpauth/core'
import type { AuthorizationServer } from 'oauth4webapi'
import type { AddressGuard } from './address-guard.ts'
import type { AuthorizationServerClient } from './authorization-server-client.ts'
import { isObject } from './token-response.ts'

/** What an MCP server says about its authorization (RFC 9728). */
export interface ResourceMetadata {
  /** Verbatim: this is what is sent as `resource`. */
  resource: string
  /** Verbatim, because issuers are compared as they are written; never empty. */
  authorizationServers: readonly string[]
  scopesSupported?: readonly string[]
}

/** What discovery needs to look around with. */
export interface DiscoveryContext {
  server: URL
  network: AuthorizationServerClient
  guard: Pick<AddressGuard, 'checkUrl'>
  signal?: AbortSignal | undefined
}

/** What the server's refusal says about where to look. */
export interface ChallengeUrl {
  /** `resource_metadata` of the challenge. */
  url: string | undefined
  /** Whether a URL of another origin may be followed. */
  allowForeign: boolean
}

/**
 * Reads the protected resource metadata: where the challenge says, else at the well-known place for the server's path, else at the root (N2, N4).
 *
 * @returns undefined when the server publishes none, as before revision 2025-06-18 (N42).
 * @throws `MCPAUTH_RESOURCE_MISMATCH` the document is about another resource (RFC 9728 §3.3).
 */
export async function discoverResource(context: DiscoveryContext, challenge: ChallengeUrl): Promise<ResourceMetadata | undefined> {
  const document = await firstDocument(context, resourceMetadataUrls(context.server, challenge), 'the resource metadata', () => true)
  return document && resourceMetadataOf(document, context.server)
}

function resourceMetadataUrls(server: URL, { url, allowForeign }: ChallengeUrl): URL[] {
  if (url !== undefined && URL.canParse(url)) {
    const named = new URL(url)
    // Once logged in, only the server itself says who its authorization server is: a 401 is easily made (T2).
    if (allowForeign || named.origin === server.origin) return [named]
  }
  // The slash at the end of a path belongs to it, but few servers serve their metadata under it.
  const paths = [server.pathname + server.search, server.pathname.replace(/\/$/, '') + server.search, '']
  const urls = paths.filter((path) => path !== '/').map((path) => new URL(`/.well-known/oauth-protected-resource${path}`, server).href)
  return [...new Set(urls)].map((href) => new URL(href))
}

function resourceMetadataOf(document: Record<string, unknown>, server: URL): ResourceMetadata {
  const { resource, authorization_servers, scopes_supported } = document
  if (typeof resource !== 'string' || !isOneUrl(resource) || !coversServer(new URL(resource), server)) {
    throw new McpAuthError(
      'MCPAUTH_RESOURCE_MISMATCH',
      `the resource metadata is about ${safeText(resource) || 'no resource'}, not about ${server.href}`,
      {
        hint: 'a token for another resource must not be sent here; tell the operator of the MCP server'
      }
    )
  }
  const servers = stringsOf(authorization_servers)
  const scopes = stringsOf(scopes_supported)
  return { resource, authorizationServers: servers?.length ? servers : [server.origin], ...(scopes ? { scopesSupported: scopes } : {}) }
}

/**
 * Whether a text that is sent on and shown to the letter is a URL to every reader. A parser for browsers leaves out line breaks and turns backslashes round: behind
 * `https://mcp.example.com\@other.example` an authorization server may see another host than we do.
 */
function isOneUrl(text: string): boolean {
  return URL.canParse(text) && !/[\p{C}\p{Z}\\]/u.test(text)
}

/** Whether a resource identifier covers the server's URL: the same origin, and its path whole segments of the server's. */
function coversServer(resource: URL, server: URL): boolean {
  const prefix = resource.pathname.replace(/\/$/, '')
  return resource.origin === server.origin && (server.pathname === prefix || server.pathname.startsWith(`${prefix}/`))
}

/**
 * Reads an authorization server's metadata (RFC 8414, OpenID Connect Discovery), in the order of N6.
 *
 * @param issuer As the resource metadata writes it.
 * @returns undefined when there is none.
 * @throws `MCPAUTH_ISSUER_MISMATCH` the document is about another issuer (N7).
 */
export async function discoverAuthorizationServer(context: DiscoveryContext, issuer: string): Promise<AuthorizationServer | undefined> {
  if (!isOneUrl(issuer)) throw new McpAuthError('MCPAUTH_DISCOVERY_FAILED', `the authorization server ${safeText(issuer)} is not a URL`)
  // Before its parts are taken: the origin of a URL that is neither https nor http is no URL.
  context.guard.checkUrl(new URL(issuer), 'the authorization server')
  const document = await firstDocument(context, issuerMetadataUrls(new URL(issuer)), 'the authorization server metadata', isServerMetadata)
  if (!document) return undefined
  if (document.issuer !== issuer) {
    throw new McpAuthError(
      'MCPAUTH_ISSUER_MISMATCH',
      `the metadata of ${safeText(issuer)} says that its issuer is ${safeText(document.issuer)}`,
      {
        hint: 'the two must be the same to the letter; tell the operator of the authorization server'
      }
    )
  }
  dropDamagedLists(document)
  checkEndpoints(document, context.guard)
  return document as unknown as AuthorizationServer
}

function issuerMetadataUrls(issuer: URL): URL[] {
  const path = issuer.pathname.replace(/\/$/, '')
  const forms =
    path === ''
      ? ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']
      : [
          `/.well-known/oauth-authorization-server${path}`,
          `/.well-known/openid-configuration${path}`,
          `${path}/.well-known/openid-configuration`
        ]
  // Not resolved against the origin: a path of two slashes would name another host.
  return forms.map((form) => new URL(issuer.origin + form))
}

function isServerMetadata(document: Record<string, unknown>): boolean {
  return typeof document.issuer === 'string'
}

/** Fields that are lists of words (RFC 8414 §2). */
const lists = [
  'code_challenge_methods_supported',
  'dpop_signing_alg_values_supported',
  'grant_types_supported',
  'response_types_supported',
  'scopes_supported',
  'token_endpoint_auth_methods_supported',
  'token_endpoint_auth_signing_alg_values_supported'
] as const

/** A list that is none says nothing, as if it were absent. */
function dropDamagedLists(document: Record<string, unknown>): void {
  for (const name of lists) {
    const value = document[name]
    if (!Array.isArray(value) || !value.every((word) => typeof word === 'string')) delete document[name]
  }
}

/** The endpoints that a secret or a person may be sent to. */
const endpoints = [
  'authorization_endpoint',
  'token_endpoint',
  'registration_endpoint',
  'revocation_endpoint',
  'device_authorization_endpoint',
  'pushed_authorization_request_endpoint'
] as const

function checkEndpoints(document: Record<string, unknown>, guard: Pick<AddressGuard, 'checkUrl'>): void {
  for (const name of endpoints) {
    const value = document[name]
    if (value === undefined || value === null) {
      // null is not in the RFC, but sent; absent is what it means.
      delete document[name]
      continue
    }
    if (typeof value !== 'string' || !URL.canParse(value)) {
      throw new McpAuthError('MCPAUTH_DISCOVERY_FAILED', `the authorization server's ${name} is not a URL`)
    }
    guard.checkUrl(new URL(value), `the ${name}`)
  }
}

/**
 * A server of before 2025-06-18: its authorization server is its own origin, with metadata there or the default endpoints (N42).
 *
 * @param allowDefaults Only a server that has refused a request is taken to have endpoints that it does not speak of.
 */
export async function discoverLegacyServer(context: DiscoveryContext, allowDefaults: boolean): Promise<AuthorizationServer | undefined> {
  const { origin } = context.server
  const document = await firstDocument(context, issuerMetadataUrls(new URL(origin)), 'the authorization server metadata', isServerMetadata)
  if (!document) return allowDefaults ? defaultEndpoints(origin) : undefined
  // Here the identifier is made by us and not written by anyone, so both forms of an empty path are it.
  if (document.issuer !== origin && document.issuer !== `${origin}/`) {
    throw new McpAuthError('MCPAUTH_ISSUER_MISMATCH', `the metadata of ${origin} says that its issuer is ${safeText(document.issuer)}`)
  }
  dropDamagedLists(document)
  checkEndpoints(document, context.guard)
  return document as unknown as AuthorizationServer
}

/** The endpoints of revision 2025-03-26, which also demands PKCE of every server. */
function defaultEndpoints(origin: string): AuthorizationServer {
  return {
    issuer: origin,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    registration_endpoint: `${origin}/register`,
    code_challenge_methods_supported: ['S256']
  }
}

/** The first of several URLs that holds a JSON object of the right kind. One that cannot be read counts only when no other has it. */
async function firstDocument(
  { network, signal }: DiscoveryContext,
  urls: readonly URL[],
  what: string,
  isRight: (document: Record<string, unknown>) => boolean
): Promise<Record<string, unknown> | undefined> {
  let failure: unknown
  for (const url of urls) {
    try {
      const document = await network.readMetadata(url, what, signal)
      if (isObject(document) && isRight(document)) return document
    } catch (error) {
      if (McpAuthError.is(error) && (error.code === 'MCPAUTH_ADDRESS_REFUSED' || signal?.aborted)) throw error
      failure ??= error
    }
  }
  if (failure) throw failure
  return undefined
}

function stringsOf(value: unknown): string[] | undefined {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : undefined
}

/** The `resource` for a server that says nothing about it: its URL, without the slash of an empty path (N24). */
export function defaultResource(server: URL): string {
  return canonicalServerUrl(server)
}

import { type ClientRecord, isLoopbackHost, McpAuthError, publish, safeText, secrets } from '@mcpauth/core'
import type { AuthorizationServer } from 'oauth4webapi'
import { type AuthorizationServerClient, parseJson } from './authorization-server-client.ts'
import { requestedAuthMethod, settleAuthMethod } from './client-authentication.ts'
import { OAuthResponseError } from './oauth-response-error.ts'
import { isObject } from './token-response.ts'

/** What a client says about itself when it registers (RFC 7591 §2). */
export interface ClientDescription {
  clientName: string
  /** undefined for grants without a browser. */
  redirectUri: string | undefined
  grantTypes: readonly string[]
  scope: string | undefined
}

/**
 * Registers a client at an authorization server (RFC 7591, N12–N14). A refusal of the metadata is answered once with less of it.
 *
 * @throws `MCPAUTH_REGISTRATION_FAILED` with the server's reason
 */
export async function registerClient(
  network: AuthorizationServerClient,
  server: AuthorizationServer,
  description: ClientDescription,
  signal?: AbortSignal
): Promise<ClientRecord> {
  const endpoint = new URL(server.registration_endpoint as string)
  const full = registrationRequest(server, description)
  try {
    return await register(network, endpoint, server, full, signal)
  } catch (error) {
    const unwilling = error instanceof OAuthResponseError && error.status === 400 && error.error !== 'invalid_redirect_uri'
    if (!unwilling) throw registrationFailed(server, error)
  }
  try {
    return await register(network, endpoint, server, bareRequest(full), signal)
  } catch (error) {
    throw registrationFailed(server, error)
  }
}

function registrationRequest(
  server: AuthorizationServer,
  { clientName, redirectUri, grantTypes, scope }: ClientDescription
): Record<string, unknown> {
  return {
    client_name: clientName,
    // Said also where there is none: absent, `response_types` means `code`, which then lacks its redirect URI (RFC 7591 §2).
    redirect_uris: redirectUri === undefined ? [] : [redirectUri],
    response_types: redirectUri === undefined ? [] : ['code'],
    application_type: applicationType(redirectUri),
    grant_types: grantTypes,
    token_endpoint_auth_method: requestedAuthMethod(server.token_endpoint_auth_methods_supported),
    ...(scope === undefined ? {} : { scope })
  }
}

/** N13: `native` where the redirect comes back to this machine, else `web`. */
function applicationType(redirectUri: string | undefined): 'native' | 'web' {
  return redirectUri === undefined || isLoopbackHost(new URL(redirectUri).hostname) || !/^https?:/.test(redirectUri) ? 'native' : 'web'
}

/** What no server can object to. Without a redirect URI the grant types have to stay: their default is the code flow. */
function bareRequest(full: Record<string, unknown>): Record<string, unknown> {
  const { client_name, redirect_uris, response_types, grant_types, application_type, token_endpoint_auth_method } = full
  const bare = { client_name, redirect_uris, application_type, token_endpoint_auth_method }
  return Array.isArray(redirect_uris) && redirect_uris.length > 0 ? bare : { ...bare, response_types, grant_types }
}

async function register(
  network: AuthorizationServerClient,
  endpoint: URL,
  server: AuthorizationServer,
  metadata: Record<string, unknown>,
  signal: AbortSignal | undefined
): Promise<ClientRecord> {
  const headers = { 'content-type': 'application/json', accept: 'application/json' }
  const request = { method: 'POST' as const, headers, body: JSON.stringify(metadata) }
  const response = await network.send(endpoint, 'the client registration', request, { deadlineMs: 30_000, signal })
  const body = parseJson(await response.text())
  const fields = isObject(body) ? body : {}
  // RFC 7591 says 201; 200 is common.
  if (!response.ok || typeof fields.client_id !== 'string' || fields.client_id === '') {
    const { error, error_description } = fields
    throw new OAuthResponseError('the client registration', { status: response.status, error, error_description })
  }
  const record = clientRecord(fields, metadata, server)
  publish('mcpauth:client:registered', { issuer: server.issuer, clientId: record.client_id })
  return record
}

function clientRecord(fields: Record<string, unknown>, asked: Record<string, unknown>, server: AuthorizationServer): ClientRecord {
  const secret = typeof fields.client_secret === 'string' && fields.client_secret !== '' ? fields.client_secret : undefined
  if (secret !== undefined) secrets.add(secret, 'client_secret')
  const told = typeof fields.token_endpoint_auth_method === 'string' ? fields.token_endpoint_auth_method : undefined
  const method = settleAuthMethod(told, { secret: secret !== undefined, privateKey: false }, server.token_endpoint_auth_methods_supported)
  return {
    client_id: fields.client_id as string,
    ...(secret === undefined ? {} : { client_secret: secret }),
    ...(typeof fields.client_secret_expires_at === 'number' ? { client_secret_expires_at: fields.client_secret_expires_at } : {}),
    token_endpoint_auth_method: method,
    ...(Array.isArray(asked.redirect_uris) ? { redirect_uris: asked.redirect_uris as string[] } : {}),
    ...(Array.isArray(asked.grant_types) ? { grant_types: asked.grant_types as string[] } : {}),
    issuer: server.issuer
  }
}

function registrationFailed(server: AuthorizationServer, error: unknown): unknown {
  // A server that cannot answer now has refused nothing.
  if (!(error instanceof OAuthResponseError) || error.status >= 500 || error.status === 429) return error
  return new McpAuthError('MCPAUTH_REGISTRATION_FAILED', `${safeText(server.issuer)} refused to register this client: ${error.message}`, {
    hint: 'register a client by hand there and give its id as client.clientId (--client-id of the command)',
    cause: error
  })
}

/** Whether a registration that was kept can serve another login: secret not expired, same redirect URI to the letter, and made for these grants. */
export function isReusable(
  record: ClientRecord,
  { redirectUri, grantTypes }: Pick<ClientDescription, 'redirectUri' | 'grantTypes'>,
  nowMs: number
): boolean {
  const expires = record.client_secret_expires_at
  if (expires !== undefined && expires !== 0 && expires * 1000 <= nowMs) return false
  const registered = Array.isArray(record.grant_types) ? record.grant_types : codeFlow
  if (!grantTypes.every((type) => registered.includes(type))) return false
  // RFC 8252 §7.3 lets the port differ, but many servers compare to the letter, and the failure would be a page that nobody comes back from.
  return redirectUri === undefined || (record.redirect_uris?.includes(redirectUri) ?? false)
}

/** What a registration that does not say otherwise is for. */
const codeFlow: readonly string[] = ['authorization_code', 'refresh_token']

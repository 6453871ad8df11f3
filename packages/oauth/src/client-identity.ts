import { type ClientRecord, McpAuthError, safeText } from '@mcpauth/core'
import type { AuthorizationServer, Client, ClientAuth } from 'oauth4webapi'
import type { AuthorizationServerClient } from './authorization-server-client.ts'
import { type ClientCredentials, clientAuthentication, readCredentials, settleAuthMethod } from './client-authentication.ts'
import { isReusable, registerClient } from './client-registration.ts'
import { checkClientIssuer } from './issuer-binding.ts'
import type { Settings } from './options.ts'
import type { SessionStore } from './session-store.ts'
import type { TokenEndpointAuthMethod } from './token-endpoint-auth-method.ts'

/** Who we are at an authorization server, ready to ask. */
export interface ClientIdentity {
  /** What is kept with the tokens: never a secret that the user holds elsewhere. */
  record: ClientRecord
  client: Client
  clientAuth: ClientAuth
  /** `stored` may have been forgotten by the server. */
  source: 'given' | 'document' | 'stored' | 'registered'
}

/** What is asked of {@link identify}. */
export interface IdentityRequest {
  server: AuthorizationServer
  network: AuthorizationServerClient
  redirectUri: string | undefined
  grantTypes: readonly string[]
  scope: string | undefined
  /** Does not use a registration that was kept. */
  registerAnew: boolean
  /** Where the user's client has been used so far, when the user does not say where it belongs. */
  issuerInUse: string | undefined
  /** The grant works without a client of its own. */
  clientOptional: boolean
  signal?: AbortSignal | undefined
}

/**
 * Decides who we are (N8): the user's client → the metadata document, where it is supported → a kept registration → a new one.
 *
 * @throws `MCPAUTH_CLIENT_MISMATCH`, `MCPAUTH_REGISTRATION_FAILED`
 */
export async function identify(settings: Settings, request: IdentityRequest): Promise<ClientIdentity> {
  const { server } = request
  // A metadata document's id is portable; any other belongs to one issuer (N15).
  if (settings.client && settings.client.clientId !== settings.clientMetadataUrl) {
    checkClientIssuer(settings.client.clientId, settings.client.issuer ?? request.issuerInUse, server.issuer)
    return await identityOf(settings, givenRecord(settings, server), server, 'given')
  }
  if (settings.clientMetadataUrl !== undefined && server.client_id_metadata_document_supported === true) {
    return await identityOf(settings, documentRecord(settings.clientMetadataUrl, settings, server), server, 'document')
  }
  const kept = request.registerAnew ? undefined : await keptRegistration(settings, request)
  if (kept) return await identityOf(settings, kept, server, 'stored')
  return await identityOf(settings, await register(settings, request), server, 'registered')
}

/**
 * The identity that the tokens of a record belong to.
 *
 * @returns undefined when neither the record nor the user says whose they are.
 */
export async function identityOfRecord(
  settings: Settings,
  record: ClientRecord | undefined,
  server: AuthorizationServer
): Promise<ClientIdentity | undefined> {
  const client = record ?? (settings.client ? givenRecord(settings, server) : undefined)
  return client && (await identityOf(settings, client, server, 'stored'))
}

function givenRecord({ client }: Settings, server: AuthorizationServer): ClientRecord {
  const { clientId, clientSecret, privateKey, tokenEndpointAuthMethod } = client as NonNullable<Settings['client']>
  const has = { secret: clientSecret !== undefined, privateKey: privateKey !== undefined }
  const method = settleAuthMethod(tokenEndpointAuthMethod, has, server.token_endpoint_auth_methods_supported)
  return { client_id: clientId, token_endpoint_auth_method: method, issuer: server.issuer }
}

/** N11: with a key, the document says `private_key_jwt`. */
function documentRecord(url: string, { client }: Settings, { issuer }: AuthorizationServer): ClientRecord {
  const method = client?.privateKey === undefined ? 'none' : 'private_key_jwt'
  return { client_id: url, token_endpoint_auth_method: method, issuer }
}

async function keptRegistration({ store, now }: Settings, request: IdentityRequest): Promise<ClientRecord | undefined> {
  const record = (await store.read({ kind: 'client', issuer: request.server.issuer }))?.client
  return record && isReusable(record, request, now()) ? record : undefined
}

async function register(settings: Settings, request: IdentityRequest): Promise<ClientRecord> {
  const { server, network, redirectUri, grantTypes, scope, signal } = request
  if (server.registration_endpoint === undefined) {
    if (request.clientOptional) return { client_id: '', issuer: server.issuer }
    throw new McpAuthError('MCPAUTH_REGISTRATION_FAILED', `${safeText(server.issuer)} does not register clients by itself`, {
      hint: 'register a client there by hand and give its id as client.clientId (--client-id of the command)'
    })
  }
  const description = { clientName: settings.clientName, redirectUri, grantTypes, scope }
  const record = await registerClient(network, server, description, signal)
  await keepRegistration(settings.store, record, server)
  return record
}

async function keepRegistration(store: SessionStore, client: ClientRecord, server: AuthorizationServer): Promise<void> {
  const key = { kind: 'client', issuer: server.issuer } as const
  await store.transact(key, (held) => held.keep({ version: 1, issuer: server.issuer, client }), { deadlineMs: 30_000 })
}

async function identityOf(
  settings: Settings,
  record: ClientRecord,
  server: AuthorizationServer,
  source: ClientIdentity['source']
): Promise<ClientIdentity> {
  const credentials = await credentialsOf(settings, record)
  const has = { secret: credentials.secret !== undefined, privateKey: credentials.privateKey !== undefined }
  const method = settleAuthMethod(record.token_endpoint_auth_method, has, server.token_endpoint_auth_methods_supported)
  const mtls = settings.useMtlsEndpoints ?? method.endsWith('tls_client_auth')
  return {
    record: { ...record, token_endpoint_auth_method: method },
    // A grant without a client sends no id; oauth4webapi wants one all the same.
    client: { client_id: record.client_id || 'none', ...(mtls ? { use_mtls_endpoint_aliases: true } : {}) },
    clientAuth:
      record.client_id === '' ? () => undefined : await clientAuthentication(method as TokenEndpointAuthMethod, credentials, settings.now),
    source
  }
}

/** The user's secret is read each time and only for the user's client; a registered client's is in its record. */
async function credentialsOf({ client, env }: Settings, record: ClientRecord): Promise<ClientCredentials> {
  if (client?.clientId === record.client_id) return await readCredentials('client', client, env)
  return { secret: record.client_secret, privateKey: undefined }
}

import { invalidOption } from '@mcpauth/core'
import { checkClientMetadataUrl } from './options.ts'

/** Options of {@link clientMetadataDocument}. */
export interface ClientMetadataDocumentOptions {
  /** Where the document will be hosted: https, with a path. It is the client's id. */
  clientMetadataUrl: string
  clientName: string
  /** @default `http://127.0.0.1/callback` and `http://[::1]/callback`; servers let the port differ (RFC 8252 §7.3) */
  redirectUris?: readonly string[]
  /** Space-separated. */
  scope?: string
  clientUri?: string
  logoUri?: string
  /** The public keys, for `private_key_jwt`. */
  jwks?: { keys: readonly Record<string, unknown>[] }
  /** Where the public keys are. */
  jwksUri?: string
}

/** Parts of a private or symmetric key. */
const privateParts = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/**
 * Makes the client ID metadata document to be hosted at `clientMetadataUrl`, as JSON (N10): `JSON.stringify` it, serve it as `application/json`.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 */
export function clientMetadataDocument(options: ClientMetadataDocumentOptions): Record<string, unknown> {
  const { clientMetadataUrl, clientName, redirectUris, scope, clientUri, logoUri, jwks, jwksUri } = options
  checkClientMetadataUrl(clientMetadataUrl)
  if (typeof clientName !== 'string' || clientName === '') throw invalidOption('clientName', 'is empty')
  if (jwks && jwksUri !== undefined) throw invalidOption('jwksUri', 'contradicts jwks')
  if (jwks?.keys.some((key) => privateParts.some((part) => part in key))) {
    throw invalidOption('jwks', 'holds a private key', 'this document is public: give only the public parts')
  }
  return {
    client_id: clientMetadataUrl,
    client_name: clientName,
    redirect_uris: redirectUris ?? ['http://127.0.0.1/callback', 'http://[::1]/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    application_type: 'native',
    token_endpoint_auth_method: jwks || jwksUri !== undefined ? 'private_key_jwt' : 'none',
    ...(scope === undefined ? {} : { scope }),
    ...(clientUri === undefined ? {} : { client_uri: clientUri }),
    ...(logoUri === undefined ? {} : { logo_uri: logoUri }),
    ...(jwks ? { jwks } : {}),
    ...(jwksUri === undefined ? {} : { jwks_uri: jwksUri })
  }
}

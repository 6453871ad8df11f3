import { McpAuthError, safeText } from '@mcpauth/core'
import type { AuthorizationServer } from 'oauth4webapi'
import type { AuthorizationServerClient } from './authorization-server-client.ts'
import { isObject } from './token-response.ts'

/** What an ID token has to say. */
export interface ExpectedIdToken {
  provider: AuthorizationServer
  network: AuthorizationServerClient
  clientId: string
  /** Of the login that it answers; undefined after a refresh, where providers leave it out. */
  nonce?: string | undefined
  /** After a refresh: the person must be the same (OpenID Connect Core §12.2). */
  subject?: unknown
  now: () => number
  signal?: AbortSignal | undefined
}

/** What of it is used. */
export interface IdTokenClaims {
  subject: string
  expiresAtSeconds: number
}

/** Clocks differ. */
const toleranceSeconds = 60

/**
 * Verifies an ID token (OpenID Connect Core §3.1.3.7): signature, issuer, audience, authorized party, nonce, expiry.
 *
 * @throws `MCPAUTH_LOGIN_FAILED` with what is wrong; `MCPAUTH_DISCOVERY_FAILED` the provider publishes no keys
 */
export async function verifyIdToken(idToken: string, expected: ExpectedIdToken): Promise<IdTokenClaims> {
  const { provider, clientId, nonce, subject, now } = expected
  // Loaded when somebody logs in, never at start-up.
  const { createLocalJWKSet, jwtVerify } = await import('jose')
  const keys = createLocalJWKSet((await publishedKeys(expected)) as never)
  const claims = await jwtVerify(idToken, keys, {
    issuer: provider.issuer,
    audience: clientId,
    // Signed with a key of the provider's, never with a secret that a client knows as well.
    algorithms: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
    clockTolerance: toleranceSeconds,
    currentDate: new Date(now()),
    requiredClaims: ['sub', 'exp', 'iat']
  }).then(
    ({ payload }) => payload,
    // Its cause and payload would hold the token's claims.
    (error: Error) => Promise.reject(refused(provider, safeText(error.message)))
  )
  if (nonce !== undefined && claims.nonce !== nonce) throw refused(provider, 'its nonce is not the one that was sent')
  const forSeveral = Array.isArray(claims.aud) && claims.aud.length > 1
  if ((forSeveral || claims.azp !== undefined) && claims.azp !== clientId) throw refused(provider, 'it was issued to another client')
  if (subject !== undefined && claims.sub !== subject) throw refused(provider, 'it is about another person')
  return { subject: claims.sub as string, expiresAtSeconds: claims.exp as number }
}

async function publishedKeys({ provider, network, signal }: ExpectedIdToken): Promise<unknown> {
  const { jwks_uri: url } = provider
  const keys =
    typeof url === 'string' && URL.canParse(url) ? await network.readMetadata(new URL(url), 'the signing keys', signal) : undefined
  if (isObject(keys) && Array.isArray(keys.keys) && keys.keys.every(isObject)) return keys
  throw new McpAuthError('MCPAUTH_DISCOVERY_FAILED', `${safeText(provider.issuer)} publishes no keys to verify its ID tokens with`, {
    hint: 'is it an OpenID Connect provider? check the issuer'
  })
}

function refused({ issuer }: AuthorizationServer, fact: string): McpAuthError {
  return new McpAuthError('MCPAUTH_LOGIN_FAILED', `the ID token of ${safeText(issuer)} was refused: ${fact}`, {
    hint: 'log in again; if it happens again, tell the operator of the identity provider'
  })
}

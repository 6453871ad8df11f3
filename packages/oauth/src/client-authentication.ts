import { createPrivateKey, type JsonWebKey, type KeyObject, randomUUID } from 'node:crypto'
import { type Environment, McpAuthError, warnOfReadableKey } from '@mcpauth/core'
import type { ClientAuth } from 'oauth4webapi'
import { parseJson } from './authorization-server-client.ts'
import type { ClientOptions } from './options.ts'
import { loadProtocol } from './protocol.ts'
import { readSecret } from './secret-source.ts'
import { authMethods, type TokenEndpointAuthMethod } from './token-endpoint-auth-method.ts'
import { isObject } from './token-response.ts'

/** What a client has to prove itself with. */
export interface ClientCredentials {
  secret: string | undefined
  privateKey: PrivateKey | undefined
}

/** A private key and how to sign with it. */
export interface PrivateKey {
  key: KeyObject
  /** JWS algorithm. */
  alg: string
  kid?: string
}

/**
 * Reads what the user's client proves itself with, each time it is needed: a rotation is picked up.
 *
 * @param name Of the options, for errors.
 * @throws `MCPAUTH_CREDENTIAL_MISSING`, `MCPAUTH_KEY_INVALID`
 */
export async function readCredentials(name: string, client: ClientOptions, env: Environment): Promise<ClientCredentials> {
  const { clientSecret, privateKey, signingAlgorithm, keyId } = client
  const secret = clientSecret && (await readSecret(`${name}.clientSecret`, clientSecret, env))
  if (privateKey === undefined) return { secret, privateKey: undefined }
  const text = await readSecret(`${name}.privateKey`, privateKey, env)
  if ('file' in privateKey) warnOfReadableKey(privateKey.file)
  return { secret, privateKey: readPrivateKey(text, signingAlgorithm, keyId) }
}

/**
 * Settles how a client authenticates: what its registration says, else the first that it has the means for and the server lists.
 * It is settled once and kept with the client, because lists change and registrations do not.
 */
export function settleAuthMethod(
  registered: string | undefined,
  has: { secret: boolean; privateKey: boolean },
  listed: readonly string[] | undefined
): TokenEndpointAuthMethod {
  const known = authMethods.find((method) => method === registered)
  if (known) return known
  if (has.privateKey) return 'private_key_jwt'
  if (!has.secret) return 'none'
  const preferred: readonly TokenEndpointAuthMethod[] = ['client_secret_basic', 'client_secret_post', 'none']
  // RFC 8414: without a list, client_secret_basic.
  return listed === undefined ? 'client_secret_basic' : (preferred.find((method) => listed.includes(method)) ?? 'client_secret_post')
}

/** The method that a registration of ours asks for: public where that is possible, because a secret in a native client is none (RFC 8252 §8.5). */
export function requestedAuthMethod(listed: readonly string[] | undefined): TokenEndpointAuthMethod {
  const possible: readonly TokenEndpointAuthMethod[] = ['none', 'client_secret_basic', 'client_secret_post']
  return listed === undefined ? 'none' : (possible.find((method) => listed.includes(method)) ?? 'none')
}

/**
 * What puts the proof on a token request.
 *
 * @throws `MCPAUTH_CREDENTIAL_MISSING` the method needs a secret or key that is not there.
 */
export async function clientAuthentication(
  method: TokenEndpointAuthMethod,
  { secret, privateKey }: ClientCredentials,
  now: () => number
): Promise<ClientAuth> {
  const { ClientSecretPost, None, TlsClientAuth } = await loadProtocol()
  switch (method) {
    case 'none':
      return None()
    case 'client_secret_basic':
      return basic(secret ?? absent('secret', method))
    case 'client_secret_post':
      return ClientSecretPost(secret ?? absent('secret', method))
    case 'private_key_jwt':
      return privateKeyJwt(privateKey ?? absent('private key', method), now)
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth':
      return TlsClientAuth()
  }
}

function absent(what: string, method: string): never {
  throw new McpAuthError('MCPAUTH_CREDENTIAL_MISSING', `${method} needs the client's ${what}`, {
    hint:
      what === 'secret' ? "give client.clientSecret, as in { env: 'CLIENT_SECRET' }" : "give client.privateKey, as in { file: 'key.pem' }"
  })
}

/** RFC 6749 §2.3.1: both parts form-encoded, in WHATWG's way, which leaves `-` alone as servers that compare without decoding expect. */
function basic(secret: string): ClientAuth {
  return (_as, client, _body, headers) => {
    headers.set('authorization', `Basic ${Buffer.from(`${formEncoded(client.client_id)}:${formEncoded(secret)}`).toString('base64')}`)
  }
}

function formEncoded(value: string): string {
  return new URLSearchParams([['', value]]).toString().slice(1)
}

/** RFC 7523 §2.2. The audience is the issuer: the one value that cannot be steered by metadata of another server. */
function privateKeyJwt({ key, alg, kid }: PrivateKey, now: () => number): ClientAuth {
  return async (as, client, body) => {
    // Loaded when it is first needed: it costs 30 ms at start-up.
    const { SignJWT } = await import('jose')
    const issuedAt = Math.floor(now() / 1000)
    const assertion = await new SignJWT({ jti: randomUUID() })
      .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
      .setIssuer(client.client_id)
      .setSubject(client.client_id)
      .setAudience(as.issuer)
      .setIssuedAt(issuedAt)
      .setNotBefore(issuedAt)
      .setExpirationTime(issuedAt + 60)
      .sign(key)
    body.set('client_id', client.client_id)
    body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
    body.set('client_assertion', assertion)
  }
}

/** The algorithms that a private key may sign with; the first is taken where nobody says otherwise. */
const algorithms: Readonly<Record<string, readonly string[]>> = {
  rsa: ['RS256', 'PS256', 'RS384', 'RS512', 'PS384', 'PS512'],
  'ec:prime256v1': ['ES256'],
  'ec:secp384r1': ['ES384'],
  'ec:secp521r1': ['ES512'],
  ed25519: ['EdDSA', 'Ed25519']
}

/**
 * Reads a private key: PEM (PKCS #8, SEC 1, PKCS #1) or a JWK.
 *
 * @param alg The JWS algorithm. @default the JWK's `alg`, else the key type's usual one
 * @throws `MCPAUTH_KEY_INVALID` not a private key, or of a kind or for an algorithm that cannot be used.
 */
export function readPrivateKey(text: string, alg?: string, kid?: string): PrivateKey {
  const parsed = parseJson(text)
  const jwk = isObject(parsed) ? parsed : undefined
  const key = keyOf(text, jwk)
  const type = key.asymmetricKeyType === 'ec' ? `ec:${key.asymmetricKeyDetails?.namedCurve}` : String(key.asymmetricKeyType)
  const usable = algorithms[type]
  if (!usable) throw invalidKey(`its type ${type} cannot be used`)
  const chosen = alg ?? (typeof jwk?.alg === 'string' ? jwk.alg : usable[0])
  if (chosen === undefined || !usable.includes(chosen)) throw invalidKey(`its type ${type} does not fit the algorithm ${chosen}`)
  const id = kid ?? (typeof jwk?.kid === 'string' ? jwk.kid : undefined)
  return { key, alg: chosen, ...(id === undefined ? {} : { kid: id }) }
}

function keyOf(text: string, jwk: Record<string, unknown> | undefined): KeyObject {
  try {
    return jwk ? createPrivateKey({ key: jwk as JsonWebKey, format: 'jwk' }) : createPrivateKey(text)
  } catch {
    // What node throws may quote the key.
    throw invalidKey('it is neither a PEM nor a JWK with a private part')
  }
}

function invalidKey(fact: string): McpAuthError {
  return new McpAuthError('MCPAUTH_KEY_INVALID', `client.privateKey: ${fact}`, {
    hint: 'give a PKCS #8 PEM or a JWK: ES256, RS256, PS256 or EdDSA'
  })
}

import type { JsonWebKey } from 'node:crypto'
import { invalidOption } from '@mcpauth/core'
import { contentDigest } from './content-digest.ts'
import { fieldsOf, normalAuthority, type ResponseMessage } from './http-message.ts'
import { messageSigner } from './message-signer.ts'
import { signatureInvalid } from './signature-error.ts'
import { type KeyOptions, loadSigningKey, type SigningKey } from './signing-keys.ts'

/** The media type of a key directory. */
export const directoryMediaType = 'application/http-message-signatures-directory+json'

/** The tag of the signatures over a key directory. */
export const directoryTag = 'http-message-signatures-directory'

/** Options of {@link keyDirectory}. */
export interface KeyDirectoryOptions {
  /** How long a verifier may keep the directory, in seconds. @default 86,400 */
  readonly maxAgeSeconds?: number
  /** How long the signatures over a response are good for, in seconds, from 1 to 86,400. @default 300 */
  readonly expiresInSeconds?: number
  /** The clock, in milliseconds since the epoch. @default Date.now */
  readonly now?: () => number
}

/** What a server answers when it is asked for its directory. */
export interface DirectoryResponse {
  readonly status: 200
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** A key directory, ready to be served at `/.well-known/http-message-signatures-directory`. */
export interface KeyDirectory {
  /** Public keys only. */
  readonly jwks: { readonly keys: readonly JsonWebKey[] }
  /**
   * The answer to one request, signed by each key, so that nobody can serve it from another host.
   *
   * @param authority The host the request was for, as its `Host` header says.
   * @throws `MCPAUTH_SIGNATURE_INVALID` not a host.
   */
  respond(authority: string): DirectoryResponse
}

/**
 * Publishes the keys that {@link withWebBotAuth} signs with: a JWK Set with public keys only, under the key ids that the signer sends, and the signature over its
 * own response that the directory draft asks for.
 *
 * @throws `MCPAUTH_KEY_INVALID`, `MCPAUTH_CREDENTIAL_MISSING`, `MCPAUTH_INVALID_OPTION`
 * @see draft-meunier-webbotauth-httpsig-directory
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http'
 * import { keyDirectory } from '@mcpauth/rfc9421-signer'
 *
 * const directory = keyDirectory([{ key: { file: '/etc/agent/ed25519.pem' } }])
 * export const server = createServer((request, response) => {
 *   const { status, headers, body } = directory.respond(request.headers.host ?? '')
 *   response.writeHead(status, headers).end(body)
 * })
 * ```
 */
export function keyDirectory(keys: readonly KeyOptions[], options: KeyDirectoryOptions = {}): KeyDirectory {
  const { maxAgeSeconds = 86_400, expiresInSeconds = 300, now } = options
  if (!(Number.isInteger(maxAgeSeconds) && maxAgeSeconds >= 0)) throw invalidOption('maxAgeSeconds', 'is not a whole number of seconds')
  if (!Array.isArray(keys) || keys.length === 0) throw invalidOption('keys', 'holds no key')
  const published = keys.map((key) => publish(key))
  if (new Set(published.map(({ jwk }) => jwk.kid)).size !== published.length) throw invalidOption('keys', 'holds a key twice')
  const signers = published.map(({ key }, index) =>
    messageSigner({
      key,
      components: ['@authority;req', 'content-digest'],
      label: `binding${index}`,
      expiresInSeconds,
      tag: directoryTag,
      now
    })
  )
  const jwks = { keys: published.map(({ jwk }) => jwk) }
  const body = JSON.stringify(jwks)
  const headers = {
    'content-type': directoryMediaType,
    'cache-control': `max-age=${maxAgeSeconds}`,
    'content-digest': contentDigest(Buffer.from(body))
  }

  function respond(authority: string): DirectoryResponse {
    const message = responseTo(authority, headers)
    const members = signers.map((signer) => ({ label: signer.label, ...signer.sign(message) }))
    return {
      status: 200,
      headers: {
        ...headers,
        'signature-input': members.map(({ label, input }) => `${label}=${input}`).join(', '),
        signature: members.map(({ label, signature }) => `${label}=${signature}`).join(', ')
      },
      body
    }
  }
  return { jwks, respond }
}

function publish(options: KeyOptions): { key: SigningKey; jwk: JsonWebKey } {
  const key = loadSigningKey(options)
  const { algorithm, keyId, publicJwk } = key
  if (!publicJwk || keyId === undefined) throw invalidOption('keys', 'holds a shared secret, which must not be published')
  return { key, jwk: { ...publicJwk, kid: keyId, ...algorithmMember(publicJwk, algorithm), use: 'sig' } }
}

/** A curve says which algorithm it is for; an RSA key must. */
function algorithmMember({ kty }: JsonWebKey, alg: SigningKey['algorithm']): { alg?: string } {
  return kty === 'RSA' ? { alg } : {}
}

function responseTo(authority: string, headers: Readonly<Record<string, string>>): ResponseMessage {
  const host = normalAuthority(authority, 'https')
  if (host === undefined || authority.trim() === '') throw signatureInvalid('@authority: is not a host', "pass the request's Host header")
  return {
    kind: 'response',
    status: 200,
    fields: fieldsOf(headers),
    request: { kind: 'request', method: 'GET', scheme: 'https', authority: host, target: '/', fields: () => undefined }
  }
}

import { type Interceptor, invalidOption } from '@mcpauth/core'
import type { DigestAlgorithm } from './content-digest.ts'
import { callersNonces, freshNonces, type MessageSigner, messageSigner } from './message-signer.ts'
import type { SignatureParameter } from './signature-params.ts'
import { type KeyOptions, loadSigningKey } from './signing-keys.ts'
import { digestsFrom, type SigningLayerOptions, signingLayer } from './signing-layer.ts'
import type { FieldType } from './structured-fields.ts'

/** What one signature covers and says. */
export interface SignatureSpec extends KeyOptions {
  /**
   * What every request has and the signature covers: derived components and fields in lower case, with parameters where wanted
   * (`@query-param;name="id"`, `cache-status;sf`, `priority;key="u"`, `x-raw;bs`). A request without one of them is not sent.
   * @default ['@method', '@target-uri']
   */
  readonly components?: readonly string[]
  /** Covered on the requests that have them. @default ['authorization', 'content-type'] without `components`, else none */
  readonly componentsIfPresent?: readonly string[]
  /** The signature's name on the message: a key of a structured field. @default 'sig1' */
  readonly label?: string
  /** How long the signature is good for, in seconds, from 1 to 86,400; false leaves `expires` out. @default 300 */
  readonly expiresInSeconds?: number | false
  /** A `nonce` for each send; a function makes it, false leaves it out. @default true: 32 random bytes, base64url */
  readonly nonce?: boolean | (() => string)
  /** What the signature is for. @default none */
  readonly tag?: string
  /** Which parameters are written, in this order. @default created, keyid, alg, expires, nonce, tag; those without a value are left out */
  readonly parameters?: readonly SignatureParameter[]
  /** The structured types of fields that are covered with `sf` and are not registered. */
  readonly fieldTypes?: Readonly<Record<string, FieldType>>
  /** The clock, in milliseconds since the epoch. @default Date.now */
  readonly now?: () => number
}

/** Options of {@link withSignature}. */
export interface SignatureOptions extends SignatureSpec, SigningLayerOptions {
  /**
   * The digests of the body (RFC 9530). One that is set is made for every request with a body, and every signature of the layer covers it.
   * @default 'sha-256' when no `components` are given or they name content-digest; else false
   */
  readonly contentDigest?: DigestAlgorithm | readonly DigestAlgorithm[] | false
  /** More signatures on the same message, each with a label of its own. */
  readonly additionalSignatures?: readonly SignatureSpec[]
}

const defaultComponents = ['@method', '@target-uri'] as const
const defaultIfPresent = ['authorization', 'content-type'] as const

/**
 * Signs every request to one server by HTTP Message Signatures (RFC 9421): adds `Signature-Input`, `Signature` and, for a body, `Content-Digest`.
 *
 * What is signed is what is sent: the path and query as they go on the wire, the `query` option of `undici.request` included, repeated headers, and the bytes
 * of the body; a body that is a stream is read first. Each send is signed anew, a replay too. Signatures that are on the request already stay.
 * Keys are read and checked at construction; signing itself is synchronous.
 *
 * @throws `MCPAUTH_KEY_INVALID`, `MCPAUTH_CREDENTIAL_MISSING`, `MCPAUTH_INVALID_OPTION`, `MCPAUTH_INSECURE_URL` at construction.
 * @throws `MCPAUTH_SIGNATURE_INVALID` on the road, when a request does not have what is to be covered, or holds what cannot be signed.
 * @throws `MCPAUTH_BODY_TOO_LARGE` on the road, when a stream is longer than `maxBodyBytes`.
 * @see RFC 9421, RFC 9530
 *
 * @example
 * ```ts
 * import { authFetch } from '@mcpauth/core'
 * import { withSignature } from '@mcpauth/rfc9421-signer'
 *
 * const url = new URL('https://mcp.example.com/mcp')
 * export const fetch = authFetch(withSignature(url, { key: { file: '/etc/agent/ed25519.pem' } }))
 * ```
 */
export function withSignature(server: string | URL, options: SignatureOptions): Interceptor {
  const specs: readonly SignatureSpec[] = [options, ...(options.additionalSignatures ?? [])]
  const labels = specs.map(({ label = 'sig1' }) => label)
  if (new Set(labels).size !== labels.length) throw invalidOption('label', 'two signatures have the same', 'give each a label of its own')
  const signers = specs.map(signerFor)
  const digests = digestsFrom(options.contentDigest, specs.some(wantsDigest) ? ['sha-256'] : [])
  return signingLayer(server, { signers, digests }, options)
}

function signerFor(spec: SignatureSpec): MessageSigner {
  const { components = defaultComponents, label = 'sig1', expiresInSeconds = 300, nonce = true } = spec
  const { componentsIfPresent = spec.components === undefined ? defaultIfPresent : [] } = spec
  const key = loadSigningKey(spec)
  return messageSigner({ ...spec, key, components, componentsIfPresent, label, expiresInSeconds, nonce: noncesFor(nonce) })
}

function noncesFor(option: SignatureSpec['nonce']): (() => string) | undefined {
  if (typeof option === 'function') return callersNonces(option)
  if (typeof option !== 'boolean') throw invalidOption('nonce', 'is neither true, false nor a function')
  return option ? freshNonces(32, 'base64url') : undefined
}

/** Whoever does not say what is covered wants the body covered; whoever does, covers it by name. */
function wantsDigest({ components, componentsIfPresent = [] }: SignatureSpec): boolean {
  return components === undefined || [...components, ...componentsIfPresent].some((text) => /^"?content-digest(?![^";])/.test(text))
}

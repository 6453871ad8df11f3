import { createECDH, createHash, createPrivateKey, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'
import { McpAuthError, type ReadonlyHeaders, secrets } from '@mcpauth/core'

/** A P-256 private key as it stands in the token record (RFC 7518 §6.2). */
export interface DpopJwk {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly x: string
  readonly y: string
  readonly d: string
}

/** What one proof is for. */
export interface DpopProofRequest {
  /** In upper case. */
  readonly method: string
  /** Query and fragment are left out of the proof. */
  readonly url: URL
  /** The last nonce that this origin gave. */
  readonly nonce?: string | undefined
  /** For requests with a token; absent at the token endpoint. */
  readonly accessToken?: string | undefined
}

/** The key that the tokens are bound to. */
export interface DpopKey {
  /** To be kept with the tokens. It is a secret. */
  readonly jwk: DpopJwk
  /** RFC 7638, base64url: the `dpop_jkt` of an authorization request and the `jkt` of the token. */
  readonly thumbprint: string
  /** The value of the `DPoP` header: a fresh one for every request, also for one that is sent again. Synchronous, about 60 µs. */
  proof(request: DpopProofRequest): string
}

/** For {@link dpopKey}; tests give their own. */
export interface DpopKeyOptions {
  /** Milliseconds since the epoch. @default Date.now */
  readonly now?: () => number
}

/** Makes a new ES256 key (RFC 9449 §4.2; asymmetric only). */
export function generateDpopJwk(): DpopJwk {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x, y, d } = privateKey.export({ format: 'jwk' }) as DpopJwk
  return { kty: 'EC', crv: 'P-256', x, y, d }
}

/**
 * Loads a key from a token record. Its private part becomes a secret of the registry.
 *
 * @throws `MCPAUTH_KEY_INVALID` it is not a P-256 private key.
 * @see RFC 9449
 */
export function dpopKey(jwk: DpopJwk, { now = Date.now }: DpopKeyOptions = {}): DpopKey {
  const key = privateKeyOf(jwk)
  const { crv, kty, x, y, d } = jwk
  secrets.add(d, 'DPoP key')
  // Only the public members: what is in the header goes on the wire. The thumbprint is over these, in this order (RFC 7638 §3.2).
  const publicJwk = JSON.stringify({ crv, kty, x, y })
  const header = base64url(`{"alg":"ES256","typ":"dpop+jwt","jwk":${publicJwk}}`)
  let last: { token: string; hash: string } | undefined

  /** The same token is sent many times; its hash is computed once. */
  function tokenHash(token: string): string {
    if (last?.token !== token) last = { token, hash: sha256(token) }
    return last.hash
  }

  function proof({ method, url, nonce, accessToken }: DpopProofRequest): string {
    const claims = {
      jti: randomUUID(),
      htm: method,
      htu: url.origin + url.pathname,
      iat: Math.floor(now() / 1000),
      // JSON leaves out what is undefined.
      nonce,
      ath: accessToken === undefined ? undefined : tokenHash(accessToken)
    }
    const input = `${header}.${base64url(JSON.stringify(claims))}`
    return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
  }

  return { jwk, thumbprint: sha256(publicJwk), proof }
}

/** The nonces that servers have given, one for each origin (RFC 9449 §8 and §9). */
export interface DpopNonces {
  /** The last nonce of this URL's origin. */
  get(url: URL): string | undefined
  /**
   * Notes the `DPoP-Nonce` of an answer, of any status.
   *
   * @returns Whether it is another than the one known before: sending again only makes sense then.
   */
  observe(url: URL, headers: ReadonlyHeaders | Headers): boolean
}

// An origin can be anything that a server redirects to; the oldest is forgotten.
const maxOrigins = 64
// Nonces are opaque, but a header of this length is no nonce.
const maxNonceLength = 1_024

/** Remembers nonces in memory: they live for minutes. */
export function dpopNonces(): DpopNonces {
  const known = new Map<string, string>()
  return {
    get: (url) => known.get(url.origin),
    observe(url, headers) {
      const nonce = nonceIn(headers)
      if (nonce === undefined || known.get(url.origin) === nonce) return false
      known.delete(url.origin)
      known.set(url.origin, nonce)
      if (known.size > maxOrigins) known.delete(known.keys().next().value as string)
      return true
    }
  }
}

/** The one value of `DPoP-Nonce`, in the characters that RFC 9449 §8.1 allows. */
function nonceIn(headers: ReadonlyHeaders | Headers): string | undefined {
  const value = headers instanceof Headers ? headers.get('dpop-nonce') : headers['dpop-nonce']
  return typeof value === 'string' && value.length <= maxNonceLength && /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(value) ? value : undefined
}

function privateKeyOf(jwk: DpopJwk): KeyObject {
  const { kty, crv, x, y, d } = jwk
  try {
    // OpenSSL does not compare the halves; one that is not the other's would sign proofs that no server can verify.
    const halves = createECDH('prime256v1')
    halves.setPrivateKey(d, 'base64url')
    const own = Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')])
    if (halves.getPublicKey().equals(own)) return createPrivateKey({ key: { kty, crv, x, y, d }, format: 'jwk' })
  } catch {
    // OpenSSL's error may quote its input: it is not chained.
  }
  throw new McpAuthError('MCPAUTH_KEY_INVALID', 'the DPoP key kept with the tokens is not a P-256 private key', {
    hint: 'log in again: a new key is made then'
  })
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

function base64url(text: string): string {
  return Buffer.from(text).toString('base64url')
}

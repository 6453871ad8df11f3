import { hash } from 'node:crypto'
import { signatureInvalid } from './signature-error.ts'
import { parseFieldDictionary } from './structured-fields.ts'

/** The digests of RFC 9530 that are still good. */
export type DigestAlgorithm = 'sha-256' | 'sha-512'

/** The name that node:crypto has for each. */
const hashes: Readonly<Record<DigestAlgorithm, string>> = { 'sha-256': 'sha256', 'sha-512': 'sha512' }

/** Whether a name is a digest this package makes. */
export function isDigestAlgorithm(name: unknown): name is DigestAlgorithm {
  return typeof name === 'string' && Object.hasOwn(hashes, name)
}

/**
 * The value of `Content-Digest` for a body.
 *
 * @see RFC 9530 §2
 */
export function contentDigest(bytes: Uint8Array, digests: readonly DigestAlgorithm[] = ['sha-256']): string {
  return digests.map((name) => `${name}=:${hash(hashes[name], bytes, 'base64')}:`).join(', ')
}

/**
 * Holds a `Content-Digest` against the body it came with. Digests that are not known here do not count.
 *
 * @throws `MCPAUTH_SIGNATURE_INVALID` the field is malformed, a known digest does not fit, or none is known.
 */
export function checkContentDigest(field: string, bytes: Uint8Array): void {
  let known = 0
  for (const [name, [value]] of parseFieldDictionary('content-digest', field)) {
    if (!isDigestAlgorithm(name)) continue
    known += 1
    const stated = value instanceof ArrayBuffer ? Buffer.from(value).toString('base64') : undefined
    if (stated !== hash(hashes[name], bytes, 'base64')) throw signatureInvalid(`content-digest: the ${name} does not fit the body`)
  }
  if (known === 0) throw signatureInvalid('content-digest: holds neither sha-256 nor sha-512')
}

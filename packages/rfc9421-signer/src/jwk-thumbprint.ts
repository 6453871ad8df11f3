import { hash, type JsonWebKey } from 'node:crypto'

/** The members that make a key what it is, in the order of RFC 7638 §3.3. */
const requiredMembers: Readonly<Record<string, readonly string[]>> = {
  EC: ['crv', 'kty', 'x', 'y'],
  OKP: ['crv', 'kty', 'x'],
  RSA: ['e', 'kty', 'n']
}

/**
 * The SHA-256 thumbprint of a public key, base64url: the key id that Web Bot Auth asks for. Synchronous, unlike jose's, since keys are checked at
 * construction.
 *
 * @see RFC 7638 §3, RFC 8037 Appendix A.3
 */
export function jwkThumbprint(jwk: JsonWebKey): string {
  const members = requiredMembers[jwk.kty ?? ''] ?? []
  return hash('sha256', JSON.stringify(Object.fromEntries(members.map((name) => [name, jwk[name]]))), 'base64url')
}

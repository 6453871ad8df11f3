import type { JsonWebKey } from 'node:crypto'
import { McpAuthError } from '@mcpauth/core'
import type { SignatureAgentEntry } from './signature-agent.ts'
import { signatureInvalid } from './signature-error.ts'
import { loadVerificationKey, type VerificationKey } from './signing-keys.ts'

/** A JWK Set, or a function that finds one by what the signature says of itself. */
export type VerificationDirectory =
  | { readonly keys: readonly JsonWebKey[] }
  | ((asked: {
      keyId: string | undefined
      signatureAgent: SignatureAgentEntry | undefined
    }) => { readonly keys: readonly JsonWebKey[] } | undefined | Promise<{ readonly keys: readonly JsonWebKey[] } | undefined>)

/** Where a key may come from. */
export interface KeySources {
  readonly known: readonly VerificationKey[]
  readonly directory?: VerificationDirectory
}

/** What a signature says of its key. */
export interface StatedKey {
  readonly keyId: string | undefined
  readonly alg: string | undefined
  /** Who says it has signed. */
  readonly signatureAgent: SignatureAgentEntry | undefined
}

/**
 * The key that a signature is to be verified with (RFC 9421 §3.2). The algorithm is the key's; the message can only agree.
 *
 * @throws `MCPAUTH_SIGNATURE_INVALID` no key, or none without a doubt; and what the directory throws
 */
export async function verificationKeyFor(
  { keyId, alg, signatureAgent }: StatedKey,
  { known, directory }: KeySources
): Promise<VerificationKey> {
  const keys = [...known, ...(await directoryKeys({ keyId, signatureAgent }, directory))]
  const named = keyId === undefined ? keys : keys.filter(({ keyIds }) => keyIds.length === 0 || keyIds.includes(keyId))
  if (named.length === 0) throw signatureInvalid('keyid: no such key is known')
  if (named.length > 1 && keyId === undefined) throw signatureInvalid('keyid: missing, and more than one key is known')
  const key = named.find(({ algorithm }) => alg === undefined || algorithm === alg)
  if (!key) throw signatureInvalid('alg: not the algorithm of the key')
  return key
}

async function directoryKeys(
  asked: Pick<StatedKey, 'keyId' | 'signatureAgent'>,
  directory: VerificationDirectory | undefined
): Promise<VerificationKey[]> {
  const found = typeof directory === 'function' ? await directory(asked) : directory
  if (!Array.isArray(found?.keys)) return []
  return (found.keys as readonly JsonWebKey[]).flatMap((jwk) => usableKey(jwk))
}

/** A directory may hold keys that are not for us: of another kind, too short, not even keys. Those count as absent; a shared secret is never taken from one. */
function usableKey(jwk: JsonWebKey): VerificationKey[] {
  if (typeof jwk !== 'object' || jwk === null || jwk.kty === 'oct') return []
  try {
    return [loadVerificationKey({ key: jwk })]
  } catch (error) {
    if (McpAuthError.is(error)) return []
    throw error
  }
}

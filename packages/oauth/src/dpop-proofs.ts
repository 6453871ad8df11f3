import type { TokenRecord } from '@mcpauth/core'
import { type DpopJwk, type DpopKey, type DpopNonces, dpopKey } from './dpop.ts'
import type { ProofMaker } from './grants/grant.ts'

/** The proofs of the keys that tokens are bound to; each key is loaded once. */
export function dpopProofs(nonces: DpopNonces, now: () => number): (jwk: DpopJwk) => ProofMaker {
  let last: { d: string; key: DpopKey } | undefined

  return (jwk) => {
    if (last?.d !== jwk.d) last = { d: jwk.d, key: dpopKey(jwk, { now }) }
    const { key } = last
    return {
      proof: ({ method, url, accessToken }) => key.proof({ method, url, nonce: nonces.get(url), accessToken }),
      observe: (url, headers) => nonces.observe(url, headers)
    }
  }
}

/** The key of a record; checked when it is loaded. */
export function dpopJwkOf(record: TokenRecord | undefined): DpopJwk | undefined {
  return record?.dpop_key as DpopJwk | undefined
}

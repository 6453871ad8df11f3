import type { AccessToken, TokenRecord, TokenSource } from '@mcpauth/core'
import type { DpopNonces } from './dpop.ts'
import { dpopJwkOf, dpopProofs } from './dpop-proofs.ts'
import type { ProofMaker } from './grants/grant.ts'
import type { Settings } from './options.ts'

/** How tokens go on requests: as bearer tokens, or with a proof of the key that they are bound to (RFC 9449 §7.1). */
export interface TokenHeaders extends Required<Pick<TokenSource, 'schemes' | 'authorize' | 'observe'>> {
  /** Notes which key a token is bound to: what is sent must not depend on what is current by then. */
  bind(token: AccessToken, record: TokenRecord): void
}

/** Makes them for one token source. */
export function tokenHeaders({ dpop, now }: Settings, nonces: DpopNonces): TokenHeaders {
  const proofs = dpopProofs(nonces, now)
  const boundTo = new WeakMap<AccessToken, ProofMaker>()
  return {
    schemes: dpop ? ['dpop', 'bearer'] : ['bearer'],
    bind(token, record) {
      const jwk = dpopJwkOf(record)
      if (token.scheme === 'DPoP' && jwk) boundTo.set(token, proofs(jwk))
    },
    authorize(token, request) {
      const bound = boundTo.get(token)
      if (!bound) return { authorization: `Bearer ${token.value}` }
      return { authorization: `DPoP ${token.value}`, dpop: bound.proof({ ...request, accessToken: token.value }) }
    },
    observe(request, { headers }) {
      if (dpop) nonces.observe(request.url, headers)
    }
  }
}

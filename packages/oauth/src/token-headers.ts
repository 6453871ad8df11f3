import type { AccessToken, TokenRecord, TokenSource } from '@mcpauth/core'
import type { AuthorizationContext } from './authorization-context.ts'
import type { DpopNonces } from './dpop.ts'
import { dpopJwkOf } from './dpop-proofs.ts'
import type { ProofMaker } from './grants/grant.ts'

/** How tokens go on requests: as bearer tokens, or with a proof of the key that they are bound to (RFC 9449 §7.1). */
export interface TokenHeaders extends Required<Pick<TokenSource, 'schemes' | 'authorize' | 'observe'>> {
  /** Notes which key a token is bound to: what is sent must not depend on what is current by then. */
  bind(token: AccessToken, record: TokenRecord): void
}

/** Makes them for one token source. */
export function tokenHeaders({ settings, proofs }: AuthorizationContext, nonces: DpopNonces): TokenHeaders {
  const boundTo = new WeakMap<AccessToken, ProofMaker>()
  return {
    schemes: settings.dpop ? ['dpop', 'bearer'] : ['bearer'],
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
      if (settings.dpop) nonces.observe(request.url, headers)
    }
  }
}

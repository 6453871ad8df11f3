import type { AuthChallenge, TokenRecord } from '@mcpauth/core'
import { type AuthorizationOutcome, authorizeByGrant } from './authorization.ts'
import { authorizationContext } from './authorization-context.ts'
import type { AuthorizationWish } from './authorization-request.ts'
import type { DpopNonces } from './dpop.ts'
import type { Grant } from './grants/grant.ts'
import type { LoginErrors } from './login-errors.ts'
import { probeServer } from './login-probe.ts'
import { type NewGrants, newGrants } from './new-grant.ts'
import type { Settings } from './options.ts'
import { type RecordRefresh, recordRefresh } from './record-refresh.ts'
import { revokeTokens } from './revocation.ts'
import type { RoadNetwork } from './road-network.ts'

/** All that one token source asks of authorization servers, and of its MCP server before there is a token. */
export interface Authorizer extends RecordRefresh, NewGrants {
  /** Without a person. */
  authorizeByGrant(grant: Grant, wish: AuthorizationWish): Promise<AuthorizationOutcome>
  /** What the MCP server says to a request without a credential. */
  probe(signal: AbortSignal | undefined): Promise<{ refused: boolean; challenges: AuthChallenge[] }>
  /** Best effort (RFC 7009). */
  revoke(record: TokenRecord): Promise<void>
}

/** Makes it for one server. */
export function authorizer(settings: Settings, way: Pick<RoadNetwork, 'now'>, nonces: DpopNonces, errors: LoginErrors): Authorizer {
  const context = authorizationContext(settings, way, nonces)
  return {
    ...recordRefresh(context, errors),
    ...newGrants(context, errors),
    authorizeByGrant: (grant, wish) => authorizeByGrant(context, grant, wish),
    probe: (signal) => probeServer(context.network, settings.server, signal),
    revoke: (record) => revokeTokens(context, record)
  }
}

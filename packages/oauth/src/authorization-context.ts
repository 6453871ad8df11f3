import type { AuthorizationServerClient, RootedNetwork } from './authorization-server-client.ts'
import type { DiscoveryContext } from './discovery.ts'
import { type DpopJwk, type DpopNonces, dpopNonces } from './dpop.ts'
import { dpopProofs } from './dpop-proofs.ts'
import type { GrantRequest, ProofMaker } from './grants/grant.ts'
import type { Settings } from './options.ts'
import type { RoadNetwork } from './road-network.ts'
import { trustedNetworks } from './trusted-networks.ts'

/** What an authorization works with. */
export interface AuthorizationContext {
  settings: Settings
  discovery: DiscoveryContext
  network: AuthorizationServerClient
  /** For an authorization server that the user named. */
  networkFrom(root: URL): RootedNetwork
  proofs: (jwk: DpopJwk) => ProofMaker
}

/** Makes it for one server. */
export function authorizationContext(
  settings: Settings,
  way: Pick<RoadNetwork, 'now'>,
  nonces: DpopNonces = dpopNonces()
): AuthorizationContext {
  const { guard, network, networkFrom } = trustedNetworks(settings, way)
  const discovery = { server: settings.server, network, guard }
  return { settings, discovery, network, networkFrom, proofs: dpopProofs(nonces, settings.now) }
}

/** Who asks which authorization server, and for what. */
type Asked = Pick<GrantRequest, 'authorizationServer' | 'client' | 'clientAuth'> &
  Partial<Pick<GrantRequest, 'resource' | 'scope' | 'dpop' | 'signal'>>

/** Everything that a request to an authorization server needs: what is asked, and what is the same for all. */
export function grantRequest({ settings, network, networkFrom }: AuthorizationContext, asked: Asked): GrantRequest {
  const { server, store, env, now } = settings
  return { server, network, networkFrom, store, env, now, resource: undefined, scope: undefined, dpop: undefined, ...asked }
}

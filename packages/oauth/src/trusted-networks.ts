import type { LookupFunction } from 'node:net'
import { type AddressGuard, addressGuard } from './address-guard.ts'
import { type AuthorizationServerClient, authorizationServerClient, type RootedNetwork } from './authorization-server-client.ts'
import type { Settings } from './options.ts'
import type { RoadNetwork } from './road-network.ts'

/** Who may send this program where. */
export interface TrustedNetworks {
  /** For what the MCP server and its metadata say. */
  guard: AddressGuard
  /** Goes where {@link guard} lets it, and to the very URLs that the user's options name. */
  network: AuthorizationServerClient
  /** For an authorization server that the user named: it may name hosts of its own network, as an MCP server may. */
  networkFrom(root: URL): RootedNetwork
}

/** The options that name an endpoint to send to. */
const endpointOptions = ['tokenUrl', 'registrationUrl', 'revocationUrl', 'deviceAuthorizationUrl'] as const

/**
 * The address guard is about what servers say. A company's identity provider is often on a private network, and the user who wrote its URL into the
 * options needs no protection from it; another URL on the same host that metadata names still does not pass.
 *
 * @param lookup Resolves names; for tests.
 */
export function trustedNetworks(
  settings: Pick<Settings, 'server' | 'dangerouslyAllowHttp' | (typeof endpointOptions)[number]>,
  way: Pick<RoadNetwork, 'now'>,
  lookup?: LookupFunction
): TrustedNetworks {
  const clients = new Map<string, RootedNetwork>()

  function guardOf(server: URL): AddressGuard {
    return addressGuard({ server, dangerouslyAllowHttp: settings.dangerouslyAllowHttp === true, ...(lookup ? { lookup } : {}) })
  }

  function networkFrom(root: URL): RootedNetwork {
    const known = clients.get(root.href)
    if (known) return known
    const rooted = guardOf(root)
    const made = { guard: rooted, network: authorizationServerClient(() => way.now(rooted), rooted) }
    clients.set(root.href, made)
    return made
  }

  const guard = guardOf(settings.server)
  const guarded = authorizationServerClient(() => way.now(guard), guard)
  const named = new Set(
    endpointOptions
      .map((name) => settings[name])
      .filter((url) => url !== undefined)
      .map((url) => new URL(url).href)
  )
  const network: AuthorizationServerClient = {
    readMetadata: guarded.readMetadata,
    send: (url, ...rest) => (named.has(url.href) ? networkFrom(url).network : guarded).send(url, ...rest)
  }
  return { guard, network, networkFrom }
}

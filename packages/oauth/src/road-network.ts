import type { Dispatch, DispatcherLike, Road } from '@mcpauth/core'
import type { AddressGuard } from './address-guard.ts'
import { guardedNetwork } from './guarded-network.ts'

/** Where requests to authorization servers leave this program, whatever roads come and go. */
export interface RoadNetwork {
  /** The way out, at the time of the call. */
  now(guard: AddressGuard): Dispatch
  attach(road: Road): void
}

/**
 * The network end of the newest road that is open; before there is one, the user's dispatcher. Where nobody chose a dispatcher it is an agent of our
 * own, which checks addresses when it connects.
 */
export function roadNetwork(dispatcher: DispatcherLike | undefined): RoadNetwork {
  let roads: ReadonlyArray<{ road: Road; networks: WeakMap<AddressGuard, Dispatch> }> = []
  const unattached = new WeakMap<AddressGuard, Dispatch>()
  const chosen = dispatcher && { network: ((options, handler) => dispatcher.dispatch(options, handler)) satisfies Dispatch }

  return {
    now(guard) {
      const open = roads.findLast(({ road }) => !road.closed.aborted)
      return madeOnce(open?.networks ?? unattached, guard, open?.road ?? chosen)
    },
    attach(road) {
      roads = [...roads.filter((known) => !known.road.closed.aborted), { road, networks: new WeakMap() }]
    }
  }
}

function madeOnce(
  networks: WeakMap<AddressGuard, Dispatch>,
  guard: AddressGuard,
  road: Pick<Road, 'network' | 'networkOver'> | undefined
): Dispatch {
  const known = networks.get(guard)
  if (known) return known
  const network = guardedNetwork(guard, road)
  networks.set(guard, network)
  return network
}

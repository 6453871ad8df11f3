import type { Dispatch, DispatcherLike, Road } from '@mcpauth/core'
import { type AddressGuard, guardedNetwork } from './address-guard.ts'

/** Where requests to authorization servers leave this program, whatever roads come and go. */
export interface RoadNetwork {
  /** The way out, at the time of the call. */
  now(): Dispatch
  attach(road: Road): void
}

/**
 * The network end of the newest road that is open; before there is one, the user's dispatcher. Where nobody chose a dispatcher it is an agent of our
 * own, which checks addresses when it connects.
 */
export function roadNetwork(guard: AddressGuard, dispatcher: DispatcherLike | undefined): RoadNetwork {
  let roads: ReadonlyArray<{ road: Road; network: Dispatch }> = []
  let unattached: Dispatch | undefined

  return {
    now() {
      const open = roads.findLast(({ road }) => !road.closed.aborted)
      if (open) return open.network
      unattached ??= guardedNetwork(guard, dispatcher && { network: (o, h) => dispatcher.dispatch(o, h) })
      return unattached
    },
    attach(road) {
      roads = [...roads.filter((known) => !known.road.closed.aborted), { road, network: guardedNetwork(guard, road) }]
    }
  }
}

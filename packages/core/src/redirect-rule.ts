import { serverFinder } from './compose.ts'
import type { DispatchOptions, Interceptor, Road } from './interceptor.ts'

/**
 * Whether a redirect leads a call away from where it began: to another origin, or to another server that has layers. There it gets no credential: a server
 * could otherwise send the caller's request, with a name and arguments of its choice, to another server as the user, and what that one answers would be taken
 * for its own.
 */
export function redirectRule(list: readonly Interceptor[], bind: Road['bind']): (first: DispatchOptions, hop: DispatchOptions) => boolean {
  const serverOf = serverFinder(list, bind)
  return (first, hop) => {
    // Nearly every call goes nowhere else.
    if (hop === first) return false
    if (String(hop.origin) !== String(first.origin)) return true
    const server = serverOf(hop)
    return server !== undefined && server !== serverOf(first)
  }
}

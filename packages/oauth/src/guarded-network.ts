import { type Dispatch, type DispatchController, type DispatcherLike, pastProxy, type Road } from '@mcpauth/core'
import type { AddressGuard } from './address-guard.ts'

/**
 * How requests to authorization servers leave this program.
 *
 * - Where the caller chose a dispatcher (a proxy, a CA, a test), or a layer stands in undici's own `compose`: through that, as it is. Only what
 *   {@link AddressGuard.checkUrl} sees is checked there.
 * - Otherwise through an agent of our own that checks every address it connects to. With `HTTP_PROXY` or `HTTPS_PROXY` it is the proxy that
 *   resolves, so there too only `checkUrl` binds. Every request gets a fresh connection: a token request on an idle socket that has died could
 *   not be told from one that was answered.
 *
 * @param road The road, or `{ network }` with the dispatch that was given. Absent: there is no road yet.
 */
export function guardedNetwork(guard: AddressGuard, road?: Pick<Road, 'network' | 'networkOver'>): Dispatch {
  if (road?.networkOver) return road.networkOver(guardedAgent(guard))
  return road ? road.network : guardedAgent(guard)
}

function guardedAgent({ lookup }: AddressGuard): Dispatch {
  let agent: DispatcherLike | undefined
  // Loaded with the first request: it costs 70 ms at start-up. It keeps no idle connection, so nothing has to close it.
  const load = async (): Promise<DispatcherLike> => {
    const { Agent, EnvHttpProxyAgent } = await import('undici')
    const options = { pipelining: 0, connect: { lookup } }
    agent ??= { dispatch: pastProxy(new Agent(options) as DispatcherLike, new EnvHttpProxyAgent(options) as DispatcherLike) }
    return agent
  }
  return (options, handler) => {
    load()
      .then((loaded) => loaded.dispatch(options, handler))
      .catch((error: Error) => handler.onResponseError?.(neverStarted, error))
    return true
  }
}

/** Stands in where a request could not even be begun. */
const neverStarted: DispatchController = { aborted: true, reason: null, paused: false, abort() {}, pause() {}, resume() {} }

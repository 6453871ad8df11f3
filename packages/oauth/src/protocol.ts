/** The messages of OAuth, as oauth4webapi makes and checks them. */
export type Protocol = typeof import('oauth4webapi')

/** Loads it when something is first asked of an authorization server: a process that finds a good token needs none of it, and it costs 3 ms at start-up. */
export function loadProtocol(): Promise<Protocol> {
  return import('oauth4webapi')
}

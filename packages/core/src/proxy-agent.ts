import { McpAuthError } from './errors.ts'
import type { Dispatch } from './interceptor.ts'
import { isLoopbackHost } from './server-binding.ts'

/**
 * Makes an agent that takes its proxy from the environment. What undici throws for one that is no URL quotes it, and it may hold the proxy's password.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 */
export function proxyAgent<Agent>(make: () => Agent): Agent {
  try {
    return make()
  } catch {
    throw new McpAuthError('MCPAUTH_INVALID_OPTION', 'the environment variable HTTP_PROXY or HTTPS_PROXY is not the URL of a proxy', {
      hint: 'write it as in HTTPS_PROXY=http://proxy.example.com:3128'
    })
  }
}

/**
 * Sends what goes to this machine in clear text past the proxy. Without TLS a credential may travel only as far as that: a proxy on another machine would read it, and
 * look for the server on its own.
 */
export function pastProxy(direct: { dispatch: Dispatch }, proxied: { dispatch: Dispatch }): Dispatch {
  return (options, handler) => (staysHere(new URL(String(options.origin))) ? direct : proxied).dispatch(options, handler)
}

function staysHere({ protocol, hostname }: URL): boolean {
  return protocol === 'http:' && isLoopbackHost(hostname)
}

import {
  type Dispatch,
  type DispatchHandler,
  type DispatchOptions,
  type Environment,
  McpAuthError,
  proxyAgent,
  publish
} from '@mcpauth/core'
import type { Agent, EnvHttpProxyAgent } from 'undici'
import { explainTlsFailure } from './tls-failure.ts'
import { identityOf, loadTlsMaterial, type TlsSources } from './tls-material.ts'

/** The agents of one layer, one for each origin that sees the certificate. */
export interface Connections {
  /** Resolves when undici is there; undefined when it is already. */
  ready(): Promise<void> | undefined
  /** Sends requests to one of the origins. `guessAtCuts`: a connection that is cut at once is reported as a certificate the server may not like. */
  dispatchTo(origin: string, guessAtCuts: boolean): Dispatch
  /** Lets running requests end and closes every connection. The next request opens new ones. */
  close(): Promise<void>
}

type Undici = typeof import('undici')

/**
 * Checks the certificates at once, opens connections with the first request, and opens new ones when a certificate changes; running requests end on the old ones.
 *
 * @param serverName What the server at `server` is asked for and checked against, in the place of its host name.
 */
export function openConnections(sources: TlsSources, server: string, serverName: string | undefined): Connections {
  let undici: Undici | undefined
  // Taken before the files are read: a change between the two is seen with the next request.
  let identity = identityOf(sources)
  let secureContext = loadTlsMaterial(sources)
  let lastProblem: string | undefined
  const agents = new Map<string, Agent | EnvHttpProxyAgent>()
  const answered = new Set<string>()

  /** A mesh writes the certificate and its key one after the other: what does not fit is tried again when a file changes again. */
  function reload(): void {
    let latest: string
    try {
      latest = identityOf(sources)
      if (latest === identity) return
      identity = latest
      secureContext = loadTlsMaterial(sources)
    } catch (error) {
      if (!McpAuthError.is(error)) throw error
      if (error.message !== lastProblem)
        publish('mcpauth:key:warning', { server, reason: `the former certificate stays in use: ${error.message}` })
      lastProblem = error.message
      return
    }
    lastProblem = undefined
    publish('mcpauth:credentials:renewed', { server })
    void closeAgents()
  }

  function agentFor(origin: string): Agent | EnvHttpProxyAgent {
    let agent = agents.get(origin)
    if (!agent) {
      const name = origin === server ? serverName : undefined
      const tls = { secureContext, rejectUnauthorized: true, ...(name === undefined ? {} : { servername: name }) }
      agent = openAgent(undici as Undici, tls, sources.environment)
      agents.set(origin, agent)
    }
    return agent
  }

  function closeAgents(): Promise<unknown> {
    const open = [...agents.values()]
    agents.clear()
    answered.clear()
    return Promise.all(open.map((agent) => agent.close()))
  }

  /** A handler that is told of a failed handshake in our words. */
  function explaining(origin: string, handler: DispatchHandler, guessAtCuts: boolean): DispatchHandler {
    return forwarding(handler, {
      onResponseStart(controller, status, headers, message) {
        answered.add(origin)
        handler.onResponseStart?.(controller, status, headers, message)
      },
      onResponseError(controller, error) {
        const state = { origin, guessAtCuts: guessAtCuts && !answered.has(origin), certificate: sources.cert !== undefined }
        handler.onResponseError?.(controller, explainTlsFailure(state, error))
      }
    })
  }

  return {
    ready: () =>
      undici
        ? undefined
        : import('undici').then((loaded) => {
            undici = loaded
          }),
    dispatchTo: (origin, guessAtCuts) => (options, handler) => {
      reload()
      return agentFor(origin).dispatch(withoutDispatcher(options) as never, explaining(origin, handler, guessAtCuts) as never)
    },
    close: async () => void (await closeAgents())
  }
}

/** The proxy, where there is one, is spoken to without the certificate: only what is inside the tunnel is the server. */
function openAgent({ Agent, EnvHttpProxyAgent }: Undici, tls: object, environment: Environment): Agent | EnvHttpProxyAgent {
  // An event stream is silent for as long as its server likes.
  const options = { connect: tls, bodyTimeout: 0 }
  const httpProxy = environment.http_proxy ?? environment.HTTP_PROXY ?? ''
  const httpsProxy = environment.https_proxy ?? environment.HTTPS_PROXY ?? ''
  if (httpProxy === '' && httpsProxy === '') return new Agent(options)
  const noProxy = environment.no_proxy ?? environment.NO_PROXY ?? ''
  return proxyAgent(() => new EnvHttpProxyAgent({ ...options, requestTls: tls, httpProxy, httpsProxy, noProxy }))
}

/** undici 7's `request` leaves its caller's dispatcher in the options, and undici 8's agents refuse it there. */
function withoutDispatcher(options: DispatchOptions & { dispatcher?: unknown }): DispatchOptions {
  if (options.dispatcher === undefined) return options
  const { dispatcher: _, ...own } = options
  return own
}

/** A handler with some hooks of its own; every other one goes on. */
function forwarding(handler: DispatchHandler, own: DispatchHandler): DispatchHandler {
  return {
    onRequestStart: (controller, context) => handler.onRequestStart?.(controller, context),
    onRequestUpgrade: (controller, status, headers, socket) => handler.onRequestUpgrade?.(controller, status, headers, socket),
    onBodySent: (chunk, length) => handler.onBodySent?.(chunk, length),
    onRequestSent: () => handler.onRequestSent?.(),
    onResponseStarted: () => handler.onResponseStarted?.(),
    onResponseData: (controller, chunk) => handler.onResponseData?.(controller, chunk),
    onResponseEnd: (controller, trailers) => handler.onResponseEnd?.(controller, trailers),
    ...own
  }
}

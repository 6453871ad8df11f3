import { compose, connectionsOf, listOf, stack } from './compose.ts'
import { withoutSecrets } from './discreet-error.ts'
import { invalidOption, McpAuthError } from './errors.ts'
import { globalResponse } from './global-response.ts'
import { type Dispatch, type DispatchHandler, type DispatchOptions, type Interceptor, layer, type Road } from './interceptor.ts'
import { pastProxy, proxyAgent } from './proxy-agent.ts'
import { redirectRule } from './redirect-rule.ts'
import { knownBytes, withBody } from './request-body.ts'
import { loadUndici, requireNode, type Undici } from './undici.ts'

/** The `fetch` that both MCP SDKs take as an option. */
export type FetchLike = (url: string | URL, init?: RequestInit) => Promise<Response>

/** Anything that can send a request: an undici `Agent`, `ProxyAgent`, `MockAgent`, or {@link fetchDispatcher}. */
export interface DispatcherLike {
  dispatch: Dispatch
}

/** Options of {@link authFetch}. */
export interface AuthFetchOptions {
  /** Sends the requests. Not closed by us. @default an agent of our own that honours `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, but for clear text to this machine */
  dispatcher?: DispatcherLike
  /** Sends requests to authorization servers. @default the same as `dispatcher` */
  authorizationServerDispatcher?: DispatcherLike
  /** How long an answer's headers may take, in milliseconds; 0 is without limit. @default undici's, 300,000 */
  headersTimeoutMs?: number
}

/** A `fetch` that can be closed. */
export type AuthFetch = FetchLike & AsyncDisposable

/** What {@link wrapTransport} adds. */
export interface RoadOptions {
  bind?: Road['bind']
  refused?: Road['refused']
}

/**
 * A `fetch` whose requests pass through layers, for any MCP SDK transport. In `[a, b]`, `a` sees the request first.
 * What is not for a layer's server passes through it untouched, and so does what a server redirects to another one. Dispose of it to close its own connections.
 *
 * Undici is loaded with the first request. One `authFetch` may serve any number of servers and concurrent requests.
 *
 * @throws `MCPAUTH_LAYER_CONFLICT` at construction, when for one server a signature stands before a layer that still changes headers, or two layers set the
 * same header.
 * @throws `MCPAUTH_INVALID_OPTION`, `MCPAUTH_UNSUPPORTED_RUNTIME` at construction.
 *
 * @example
 * ```ts
 * import { authFetch } from '@mcpauth/core'
 * import { withBearer } from '@mcpauth/bearer-env'
 *
 * const url = new URL('https://mcp.example.com/mcp')
 * export const fetch = authFetch(withBearer(url, { env: 'EXAMPLE_TOKEN' }))
 * ```
 */
export function authFetch(layers: Interceptor | readonly Interceptor[], options: AuthFetchOptions = {}): AuthFetch {
  return roadFetch(layers, options, {})
}

/** {@link authFetch} with what only a transport can say. */
export function roadFetch(layers: Interceptor | readonly Interceptor[], options: AuthFetchOptions, roadOptions: RoadOptions): AuthFetch {
  requireNode()
  checkOptions(options)
  const list = listOf(layers)
  const composed = compose(list)
  const closed = new AbortController()
  let road: OpenRoad | undefined
  let opening: Promise<OpenRoad> | undefined
  let closing: Promise<void> | undefined

  /** Once, however many requests are the first. */
  function open(): Promise<OpenRoad> {
    opening ??= loadUndici().then((undici) => {
      road = openRoad(undici, list, composed, options, { ...roadOptions, closed: closed.signal })
      return road
    })
    return opening
  }

  async function send(input: string | URL, init: RequestInit = {}): Promise<Response> {
    if (closed.signal.aborted) throw closed.signal.reason
    const request = requestOf(input, init)
    const { fetch } = road ?? (await open())
    try {
      return globalResponse(await fetch(request.url, request.init, request.bytes))
    } catch (error) {
      throw ownError(error)
    }
  }

  /** Once, however many owners it has: a transport may be closed by a refusal and by its user. */
  function dispose(): Promise<void> {
    closing ??= close()
    return closing
  }

  async function close(): Promise<void> {
    closed.abort(new McpAuthError('MCPAUTH_CLOSED', 'this fetch has been closed', { hint: 'make a new authFetch' }))
    const opened = await opening?.catch(() => undefined)
    await opened?.close()
  }

  return Object.assign(send, { [Symbol.asyncDispose]: dispose })
}

interface OpenRoad {
  fetch(url: string, init: RequestInit, bytes: Uint8Array | undefined): Promise<Response>
  close(): Promise<void>
}

function openRoad(
  undici: Undici,
  list: readonly Interceptor[],
  composed: Interceptor,
  options: AuthFetchOptions,
  roadOptions: RoadOptions & { closed: AbortSignal }
): OpenRoad {
  const own = options.dispatcher ? undefined : defaultDispatcher(undici)
  const dispatcher = (options.dispatcher ?? own) as DispatcherLike
  const end: Dispatch = (o, h) => dispatcher.dispatch(o, h)
  const networkEnd = options.authorizationServerDispatcher
  const road: Road = {
    network: stack(connectionsOf(list), networkEnd ? (o, h) => networkEnd.dispatch(o, h) : end),
    ...(networkEnd || options.dispatcher ? {} : { networkOver: (other) => stack(connectionsOf(list), other) }),
    closed: roadOptions.closed,
    bind: roadOptions.bind ?? 'path',
    ...(roadOptions.refused ? { refused: roadOptions.refused } : {})
  }
  const dispatch = composed(end, road)
  const leadsElsewhere = redirectRule(list, road.bind)
  const { headersTimeoutMs } = options
  let laidElsewhere: Dispatch | undefined

  /** The road of a redirect to another server: what the user has put on it beside our layers. */
  function elsewhere(): Dispatch {
    laidElsewhere ??= stack(withoutServer(list), end, road)
    return laidElsewhere
  }

  return {
    fetch(url, init, bytes) {
      let first: DispatchOptions | undefined
      const dispatcher = handlingOldHandlers(undici, (hop, handler) => {
        first ??= hop
        const next = leadsElsewhere(first, hop) ? elsewhere() : dispatch
        const timed = headersTimeoutMs === undefined ? hop : { ...hop, headersTimeout: headersTimeoutMs }
        // fetch turns every body into a one-shot generator; the bytes are put back, so that they can be signed and sent again. On a 303 there is none any more.
        return next(bytes && hop.body != null ? withBody(timed, bytes) : timed, handler)
      })
      // The types of two undici copies, and of the DOM, differ where the values do not: this is the one place where they meet.
      return undici.fetch(url, { ...init, dispatcher } as never) as unknown as Promise<Response>
    },
    close: async () => void (await own?.close())
  }
}

/** Whatever is none of our layers. */
function withoutServer(list: readonly Interceptor[]): readonly Interceptor[] {
  return list.filter((entry) => !entry[layer])
}

/** A dispatcher for `undici.fetch`. That of undici 7 passes handlers of the old shape, and only a composed Dispatcher translates them. */
function handlingOldHandlers(undici: Undici, run: Dispatch): DispatcherLike {
  return {
    dispatch(options, handler) {
      if (typeof handler.onRequestStart === 'function') return run(options, handler)
      class End extends undici.Dispatcher {}
      return new End().compose(() => (o, h) => run(o, h as DispatchHandler)).dispatch(options as never, handler as never)
    }
  }
}

function defaultDispatcher(undici: Undici): ClosableDispatcher {
  // An event stream is silent for as long as its server likes.
  const options = { bodyTimeout: 0 }
  const direct = new undici.Agent(options) as ClosableDispatcher
  if (!proxyConfigured()) return direct
  const proxied = proxyAgent(() => new undici.EnvHttpProxyAgent(options) as ClosableDispatcher)
  return {
    dispatch: pastProxy(direct, proxied),
    close: () => Promise.all([direct.close(), proxied.close()])
  }
}

type ClosableDispatcher = DispatcherLike & { close(): Promise<unknown> }

// biome-ignore lint/style/noProcessEnv: the default dispatcher is the one place of this package that looks at the environment
function proxyConfigured(env: NodeJS.ProcessEnv = process.env): boolean {
  // An empty one says "none" for its own scheme only.
  return Boolean(env.http_proxy || env.HTTP_PROXY || env.https_proxy || env.HTTPS_PROXY)
}

/** The parts of a fetch call that are looked at. What `new URL` and fetch would throw quotes the URL, which may hold a password. */
function requestOf(input: string | URL, init: RequestInit): { url: string; init: RequestInit; bytes: Uint8Array | undefined } {
  if (typeof input === 'object' && !(input instanceof URL)) throw invalidOption('url', 'is a Request', 'pass the URL and an init object')
  if (typeof input === 'string' && !URL.canParse(input)) throw invalidOption('url', 'is not an absolute URL')
  const url = typeof input === 'string' ? new URL(input) : input
  if (url.username || url.password) throw invalidOption('url', 'holds a user name or password', 'credentials are given to a layer')
  return { url: url.href, init, bytes: init.body === null || init.body === undefined ? undefined : bodyBytes(init.body) }
}

function bodyBytes(body: unknown): Uint8Array | undefined {
  return body instanceof URLSearchParams ? Buffer.from(String(body)) : knownBytes(body)
}

/** Our own error from inside fetch's `TypeError: fetch failed`. What is wrong with a header quotes it, and a header may hold a secret; any other without secrets. */
function ownError(error: unknown): unknown {
  if (!(error instanceof TypeError)) return withoutSecrets(error)
  if (McpAuthError.is(error.cause)) return error.cause
  if (/header/i.test(error.message)) return invalidOption('init.headers', 'holds a name or a value that cannot be sent')
  return withoutSecrets(error)
}

function checkOptions({ dispatcher, authorizationServerDispatcher, headersTimeoutMs }: AuthFetchOptions): void {
  for (const [name, value] of Object.entries({ dispatcher, authorizationServerDispatcher })) {
    if (value !== undefined && typeof value.dispatch !== 'function')
      throw invalidOption(name, 'has no dispatch function', 'pass an undici Agent or the like')
  }
  if (headersTimeoutMs !== undefined && !(Number.isFinite(headersTimeoutMs) && headersTimeoutMs >= 0)) {
    throw invalidOption('headersTimeoutMs', 'is not a number of milliseconds, 0 or more')
  }
}

import { invalidOption, McpAuthError } from './errors.ts'
import { type Dispatch, type Interceptor, type Layer, layer, type Road } from './interceptor.ts'
import { bindTo, type RequestTarget, type ServerBinding } from './server-binding.ts'

/**
 * Makes one interceptor of several. In `[a, b, c]` the first listed sees the request first (undici's own `compose(a, b)` is the reverse).
 * Where two servers match a request, the layers of the longer prefix alone see it.
 *
 * @throws `MCPAUTH_INVALID_OPTION` something listed is not an interceptor, or several are given that are no list.
 * @throws `MCPAUTH_LAYER_CONFLICT` an order that cannot work: see {@link authFetch}.
 */
export function compose(layers: Interceptor | readonly Interceptor[], ...none: []): Interceptor {
  // Whoever is used to undici's compose would lose a credential without a word.
  if (none.length > 0)
    throw invalidOption('layers', 'are several arguments', 'give one list: compose([a, b]), the first sees the request first')
  const list = listOf(layers)
  checkOrder(list)
  const composed = (dispatch: Dispatch, road?: Road): Dispatch => layRoad(list, dispatch, road)
  return Object.defineProperty(composed, parts, { value: list })
}

/** What a composed interceptor is made of. A road must see through it: to check the whole order, and to find the layers that own connections. */
const parts = Symbol.for('mcpauth.parts')

/** The layers as a flat list, checked. */
export function listOf(layers: Interceptor | readonly Interceptor[]): readonly Interceptor[] {
  const list: readonly Interceptor[] = [layers].flat()
  list.forEach((entry, index) => {
    if (typeof entry !== 'function')
      throw invalidOption(`layers[${index}]`, 'is not an interceptor', 'pass what withOAuth(url), withBearer(url, …) and so on return')
  })
  return list.flatMap((entry) => (entry as { [parts]?: readonly Interceptor[] })[parts] ?? [entry])
}

/** The parts of a road that own a connection; they serve requests to authorization servers too. */
export function connectionsOf(list: readonly Interceptor[]): readonly Interceptor[] {
  return list.filter((entry) => entry[layer]?.kind === 'connection')
}

/** Puts interceptors in front of `dispatch`, the first listed outermost. */
export function stack(list: readonly Interceptor[], dispatch: Dispatch, road?: Road): Dispatch {
  return list.reduceRight((next, entry) => entry(next, road), dispatch)
}

/** Chooses, for every request, the one server it belongs to, and leads it past the layers of that server only. */
function layRoad(list: readonly Interceptor[], end: Dispatch, road: Road | undefined): Dispatch {
  const servers = serversOf(list)
  if (servers.length <= 1) return stack(list, end, road)

  const routes = Map.groupBy(servers.map(routeTo), ({ binding }) => binding.server.origin)
  const elsewhere = stack(list.filter(belongsTo(undefined)), end, road)

  function routeTo(server: URL): { binding: ServerBinding; dispatch(): Dispatch } {
    let laid: Dispatch | undefined
    return {
      binding: bindTo(server, { bind: road?.bind ?? 'path', dangerouslyAllowHttp: true }),
      dispatch: () => {
        laid ??= stack(list.filter(belongsTo(server)), end, road)
        return laid
      }
    }
  }

  return (options, handler) => {
    const origin = URL.canParse(String(options.origin)) ? new URL(String(options.origin)).origin : ''
    const route = nearest(routes.get(origin) ?? [], options)
    return (route?.dispatch() ?? elsewhere)(options, handler)
  }
}

/**
 * Of the servers that cover a request, the one with the longer path; of one path the one with the request's very query, since two accounts of one server may differ
 * in nothing else.
 */
function nearest<R extends { readonly binding: ServerBinding }>(routes: readonly R[], request: RequestTarget): R | undefined {
  const covering = routes.filter(({ binding }) => binding.covers(request))
  const [first] = covering
  const query = /\?.+/s.exec(request.path)?.[0]
  return covering.find(({ binding: { server } }) => server.search === query && server.pathname === first?.binding.server.pathname) ?? first
}

/** The servers of layers, each once, longer paths first, and of one path that without a query. Connections have none: they bind themselves by origin. */
function serversOf(list: readonly Interceptor[]): URL[] {
  const described = list.flatMap((entry) => (entry[layer] && entry[layer].kind !== 'connection' ? [entry[layer].server] : []))
  const servers = new Map(described.map((server) => [server.href, server]))
  return [...servers.values()].sort((a, b) => b.pathname.length - a.pathname.length || a.search.length - b.search.length)
}

/** Finds the server that a request belongs to, among those that have layers. */
export function serverFinder(list: readonly Interceptor[], bind: Road['bind']): (request: RequestTarget) => URL | undefined {
  const routes = serversOf(list).map((server) => ({ binding: bindTo(server, { bind, dangerouslyAllowHttp: true }) }))
  return (request) => nearest(routes, request)?.binding.server
}

/** The layers of the one server that a URL belongs to: by its path, or else by its origin alone. */
export function layersAt(list: readonly Interceptor[], { origin, pathname, search }: URL): readonly Interceptor[] {
  const target = { origin, path: pathname + search }
  return list.filter(belongsTo(serverFinder(list, 'path')(target) ?? serverFinder(list, 'origin')(target)))
}

/** Layers of one server, those without a server, and connections, which bind themselves by origin. */
function belongsTo(server: URL | undefined): (entry: Interceptor) => boolean {
  return (entry) => {
    const description = entry[layer]
    return !description || description.kind === 'connection' || description.server.href === server?.href
  }
}

/** Which kinds may not stand behind a kind, and why. */
const misplaced: ReadonlyArray<{ kind: Layer['kind']; behind: Layer['kind']; why: string }> = [
  { kind: 'headers', behind: 'signature', why: 'it would change headers after they were signed' },
  { kind: 'credential', behind: 'signature', why: 'it would change headers after they were signed' },
  { kind: 'headers', behind: 'connection', why: 'a connection ends the road' },
  { kind: 'credential', behind: 'connection', why: 'a connection ends the road' },
  { kind: 'signature', behind: 'connection', why: 'a connection ends the road' },
  { kind: 'observer', behind: 'connection', why: 'a connection ends the road' }
]

function checkOrder(list: readonly Interceptor[]): void {
  const described = list.flatMap((entry) => (entry[layer] ? [entry[layer]] : []))
  described.forEach((later, index) => {
    for (const earlier of described.slice(0, index)) {
      if (earlier.server.href !== later.server.href) continue
      const rule = misplaced.find(({ kind, behind }) => kind === later.kind && behind === earlier.kind)
      if (rule)
        throw conflict(
          later,
          `a ${later.kind} layer stands behind a ${earlier.kind} layer: ${rule.why}`,
          `list the ${later.kind} layer first`
        )
      const twice = later.sets.find((name) => earlier.sets.includes(name))
      if (twice) throw conflict(later, `two layers set the header ${twice}`, 'keep one of them: they cannot both own it')
    }
  })
}

function conflict({ server }: Layer, fact: string, hint: string): McpAuthError {
  return new McpAuthError('MCPAUTH_LAYER_CONFLICT', `for ${server.href}: ${fact}`, { hint })
}

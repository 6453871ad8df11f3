import { invalidOption, McpAuthError } from './errors.ts'

/** Options of {@link bindTo}. */
export interface BindOptions {
  /** `path`: the server's URL and what is below it. `origin`: everything at its origin. @default 'path' */
  bind?: 'path' | 'origin'
  /** Lets credentials travel in clear text to a host that is not this machine. */
  dangerouslyAllowHttp?: boolean
}

/** Where a request goes: the part of a dispatch that is compared. */
export interface RequestTarget {
  readonly origin?: string | URL | undefined
  readonly path: string
}

/** Which requests belong to one MCP server. */
export interface ServerBinding {
  readonly server: URL
  /** Whether a request goes to the bound server, by what is really sent on the wire. */
  covers(request: RequestTarget): boolean
}

/**
 * Parses and checks the URL of an MCP server, as every layer's first argument.
 *
 * @throws `MCPAUTH_INVALID_OPTION` not a URL, not http(s), with userinfo or a fragment.
 * @throws `MCPAUTH_INSECURE_URL` http to a host that is not loopback, without `dangerouslyAllowHttp`.
 */
export function parseServerUrl(server: string | URL, options: { dangerouslyAllowHttp?: boolean | undefined } = {}): URL {
  // Never chain what new URL throws: it quotes its input, which may hold a password.
  const url = URL.canParse(String(server)) ? new URL(String(server)) : undefined
  if (!url) throw invalidOption('server', 'is not an absolute URL', 'give the URL of the MCP server, as in https://mcp.example.com/mcp')
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw invalidOption('server', `${url.protocol} is not http or https`)
  if (url.username || url.password) {
    throw invalidOption('server', 'holds a user name or password', 'take it out of the URL; credentials are given to a layer')
  }
  if (url.hash) throw invalidOption('server', 'holds a fragment')
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname) && !options.dangerouslyAllowHttp) {
    throw new McpAuthError('MCPAUTH_INSECURE_URL', `${url.origin} is not https: a credential would travel in clear text`, {
      hint: 'use https (in code, if the network is trusted to the last hop: dangerouslyAllowHttp: true)'
    })
  }
  return url
}

/** The form of a server's URL that names its record: as the WHATWG parser writes it, without fragment, without the slash of an empty path. */
export function canonicalServerUrl(server: string | URL): string {
  const url = new URL(String(server))
  url.hash = ''
  return url.pathname === '/' && !url.search ? url.origin : url.href
}

/** Whether a WHATWG host name is this machine: `localhost`, names below it, 127.0.0.0/8, [::1]. */
export function isLoopbackHost(hostname: string): boolean {
  const host = hostname.replace(/\.$/, '').toLowerCase()
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host)
}

/**
 * Binds a layer to a server: origin and path prefix, compared on whole segments (`/mcp` covers `/mcp` and `/mcp/x`, never `/mcp-evil` or `/mcp/../x`).
 *
 * @throws the codes of {@link parseServerUrl}
 */
export function bindTo(server: string | URL, options: BindOptions = {}): ServerBinding {
  if (options.bind !== undefined && options.bind !== 'path' && options.bind !== 'origin')
    throw invalidOption('bind', "is neither 'path' nor 'origin'")
  const url = parseServerUrl(server, options)
  const prefix = options.bind === 'origin' ? '' : url.pathname.replace(/\/$/, '')
  let last: { origin: string; matches: boolean } | undefined

  /** Remembers the last answer, since nearly every request goes where the last one went. A URL object may have changed meanwhile. */
  function isAtServer(origin: RequestTarget['origin']): boolean {
    if (typeof origin !== 'string') return originOf(origin) === url.origin
    if (last?.origin !== origin) last = { origin, matches: originOf(origin) === url.origin }
    return last.matches
  }

  function covers(request: RequestTarget): boolean {
    return isAtServer(request.origin) && (prefix === '' ? request.path.startsWith('/') : pathCovered(request.path, prefix, url.origin))
  }
  return { server: url, covers }
}

function originOf(origin: string | URL | undefined): string | undefined {
  const text = String(origin)
  return URL.canParse(text) ? new URL(text).origin : undefined
}

function pathCovered(path: string, prefix: string, origin: string): boolean {
  // The path goes on the wire as it is, and a server that does not normalise sees it so.
  if (!underPrefix(path, prefix)) return false
  const pathname = withoutQuery(path)
  // The fast way, that of nearly every request.
  if (isPlain(pathname)) return true
  // No parser writes spaces, control characters or a fragment here; who does, is covered by nothing.
  if (/[\u0000-\u0020#]/.test(pathname)) return false
  const readings = [pathname, decoded(pathname, separators), decoded(pathname, withoutParameters)]
  return readings.every((reading) => underPrefix(new URL(origin + reading).pathname, prefix))
}

function underPrefix(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false
  const next = path.charCodeAt(prefix.length)
  return Number.isNaN(next) || next === 0x2f /* / */ || next === 0x3f /* ? */
}

function withoutQuery(path: string): string {
  const end = path.indexOf('?')
  return end === -1 ? path : path.slice(0, end)
}

/** Nothing in the path that a server, or a parser on the way, could read as another path. */
function isPlain(pathname: string): boolean {
  return !/%|\\|\/\.|\/\/|;|#|[\u0000-\u0020]/.test(pathname)
}

/** What a server sees that decodes separators and dots before it resolves them, however often they are wrapped. */
function decoded(pathname: string, step: (pathname: string) => string): string {
  let before: string
  let after = pathname
  do {
    before = after
    after = step(before)
  } while (after !== before)
  return after
}

function separators(pathname: string): string {
  return pathname
    .replace(/%25/g, '%')
    .replace(/%2e/gi, '.')
    .replace(/%2f/gi, '/')
    .replace(/%5c|\\/gi, '/')
}

/** Some servers also drop what follows a `;` in a segment, and to others `/mcp;` is not `/mcp`. */
function withoutParameters(pathname: string): string {
  return separators(pathname).replace(/;[^/]*/g, '')
}

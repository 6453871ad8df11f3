import { type AuthFetch, type AuthFetchOptions, roadFetch } from './auth-fetch.ts'
import { layersAt, listOf } from './compose.ts'
import { invalidOption, McpAuthError } from './errors.ts'
import { type Interceptor, layer } from './interceptor.ts'

/** The part of an MCP SDK transport that is used here; v1's and v2's both have it. */
export interface TransportLike {
  close(): Promise<void>
  onerror?: ((error: Error) => void) | undefined
}

/** A transport's class: the server's URL, then its own options. */
export type TransportClass<T extends TransportLike, O> = new (url: URL, options?: O) => T

/** Options of {@link wrapTransport}. */
export interface WrapTransportOptions<O> extends AuthFetchOptions {
  /** The transport's own options, without `fetch`, `authProvider` and a static `Authorization`. */
  transport?: O
}

/** What is known of the SDKs' transports by the name of their class. A subclass is what its base is. */
const kinds: Readonly<Record<string, { bind: 'path' | 'origin' } | { refused: string; hint: string }>> = {
  StreamableHTTPClientTransport: { bind: 'path' },
  // Its POST endpoint is announced by the server, at another path of the same origin.
  SSEClientTransport: { bind: 'origin' },
  StdioClientTransport: {
    refused: 'a stdio transport has no HTTP requests: the process it starts is the trust boundary',
    hint: "pass credentials to the server's process through `env`"
  },
  WebSocketClientTransport: {
    refused: 'the WebSocket transport has no fetch, so nothing can be put on its requests',
    hint: 'use StreamableHTTPClientTransport'
  }
}

/**
 * Makes an MCP SDK transport whose requests pass through layers, and whose end is theirs too: our connections are closed with the transport, and when a
 * refusal cannot be mended on its event stream, the transport is closed and its `onerror` is told why.
 *
 * @param Transport `StreamableHTTPClientTransport` or `SSEClientTransport` of SDK v1 or v2, or a subclass of one. For SSE the layers are bound to the origin.
 * @throws `MCPAUTH_UNSUPPORTED_TRANSPORT` a stdio or WebSocket transport.
 * @throws `MCPAUTH_INVALID_OPTION` `fetch`, `authProvider` or a static `Authorization` beside ours.
 *
 * @example
 * ```ts
 * import { wrapTransport } from '@mcpauth/core'
 * import { withBearer } from '@mcpauth/bearer-env'
 * import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
 *
 * const url = new URL('https://mcp.example.com/mcp')
 * export const transport = wrapTransport(StreamableHTTPClientTransport, url, withBearer(url, { env: 'EXAMPLE_TOKEN' }))
 * ```
 */
export function wrapTransport<T extends TransportLike, O extends object>(
  Transport: TransportClass<T, O>,
  url: URL,
  layers: Interceptor | readonly Interceptor[],
  options: WrapTransportOptions<O> = {}
): T {
  const { transport: transportOptions, ...fetchOptions } = options
  const kind = kindOf(Transport)
  const list = listOf(layers)
  checkTransportOptions((transportOptions ?? {}) as ForbiddenOptions, list)
  // Bound to the origin, another server's layers would not be told from those of this one.
  const own = kind.bind === 'origin' ? layersAt(list, url) : list
  const fetch = roadFetch(own, fetchOptions, { bind: kind.bind, refused: (error) => stop(error) })
  const transport = new Transport(url, { ...transportOptions, fetch } as unknown as O)

  function stop(error: Error): void {
    // Let the transport see the refused answer first.
    setImmediate(() => {
      transport.onerror?.(error)
      transport.close().catch(() => undefined)
    })
  }

  return closeTogether(transport, fetch)
}

function kindOf(Transport: unknown): { bind: 'path' | 'origin' } {
  for (
    let ancestor = Transport;
    typeof ancestor === 'function' && ancestor !== Function.prototype;
    ancestor = Object.getPrototypeOf(ancestor)
  ) {
    const kind = Object.hasOwn(kinds, ancestor.name) ? kinds[ancestor.name] : undefined
    if (!kind) continue
    if ('refused' in kind) throw new McpAuthError('MCPAUTH_UNSUPPORTED_TRANSPORT', kind.refused, { hint: kind.hint })
    return kind
  }
  return { bind: 'path' }
}

interface ForbiddenOptions {
  fetch?: unknown
  authProvider?: unknown
  eventSourceInit?: { fetch?: unknown }
  requestInit?: RequestInit
}

function checkTransportOptions(options: ForbiddenOptions, layers: readonly Interceptor[]): void {
  if (options.authProvider) {
    throw invalidOption('transport.authProvider', 'would answer a 401 a second time', 'take it out: the layers do its work')
  }
  if (options.fetch || options.eventSourceInit?.fetch) {
    throw invalidOption(
      'transport.fetch',
      'would take the place of ours',
      'give its dispatcher to wrapTransport, or use authFetch or authMiddleware'
    )
  }
  const given = Object.keys(Object.fromEntries(new Headers(options.requestInit?.headers)))
  const ours = layers.flatMap((entry) => entry[layer]?.sets ?? [])
  const both = given.find((name) => ours.includes(name))
  if (both)
    throw invalidOption('transport.requestInit.headers', `sets ${both}, and so does a layer`, 'take it out of the transport options')
}

function closeTogether<T extends TransportLike>(transport: T, fetch: AuthFetch): T {
  const close = transport.close.bind(transport)
  transport.close = async () => {
    try {
      await close()
    } finally {
      await fetch[Symbol.asyncDispose]()
    }
  }
  return transport
}

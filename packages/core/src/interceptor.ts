/**
 * The one concept of this house: an interceptor takes the next `dispatch` and returns its own.
 *
 * The types here have undici's shape without undici's types, because the declarations of undici 7 and 8 exclude each other.
 * Everything is written as a method, so that TypeScript compares parameters both ways and both majors fit.
 */

import { McpAuthError } from './errors.ts'

/** Response headers as undici parses them: lower-case names; a repeated header is an array. */
export type ReadonlyHeaders = Readonly<Record<string, string | string[] | undefined>>

/** What undici hands to a handler to steer a running request. */
export interface DispatchController {
  readonly aborted: boolean
  readonly reason: Error | null
  readonly paused: boolean
  rawHeaders?: unknown
  rawTrailers?: unknown
  abort(reason: Error): void
  pause(): void
  resume(): void
}

/** The hooks of one request, in the order in which undici calls them. */
export interface DispatchHandler {
  onRequestStart?(controller: DispatchController, context: unknown): void
  onRequestUpgrade?(controller: DispatchController, status: number, headers: ReadonlyHeaders, socket: never): void
  onBodySent?(chunk: unknown, length?: number): void
  onRequestSent?(): void
  onResponseStarted?(): void
  onResponseStart?(controller: DispatchController, status: number, headers: ReadonlyHeaders, statusMessage?: string): void
  onResponseData?(controller: DispatchController, chunk: Uint8Array): void
  onResponseEnd?(controller: DispatchController, trailers: ReadonlyHeaders): void
  onResponseError?(controller: DispatchController, error: Error): void
}

/** One request as it travels down the road. Layers copy it; nobody changes it. */
export interface DispatchOptions {
  readonly path: string
  readonly method: string
  readonly origin?: string | URL
  // biome-ignore lint/suspicious/noExplicitAny: what undici takes here differs between its majors; read it with headerPairs()
  readonly headers?: any
  // biome-ignore lint/suspicious/noExplicitAny: the same; read it with knownBytes()
  readonly body?: any
  // biome-ignore lint/suspicious/noExplicitAny: the same
  readonly query?: Record<string, any>
  readonly headersTimeout?: number | null
  readonly bodyTimeout?: number | null
}

/** Sends one request. The return value is only a drain hint. */
export type Dispatch = { dispatch(options: DispatchOptions, handler: DispatchHandler): boolean }['dispatch']

/** Marks what an interceptor is; shared by all copies of this package in one program. */
export const layer: unique symbol = Symbol.for('mcpauth.layer') as never

/** What a layer says about itself, so that `authFetch` can refuse an order that cannot work. */
export interface Layer {
  /** `headers` sets fixed headers, `credential` owns a token, `signature` signs what is sent, `observer` looks, `connection` owns the TLS end. */
  readonly kind: 'headers' | 'credential' | 'signature' | 'observer' | 'connection'
  /** The MCP server this layer is bound to. */
  readonly server: URL
  /** Lower-case names of the headers it sets. */
  readonly sets: readonly string[]
}

/** What a layer needs to know about the road it stands on. */
export interface Road {
  /** The end of the road, for requests to authorization servers: the caller's dispatcher, proxy and CA, but none of the layers. */
  readonly network: Dispatch
  /**
   * `network` with another end, for a source that checks the addresses it connects to. Absent where the caller chose the dispatcher: then only `network` leads
   * where the caller wants requests to go.
   */
  readonly networkOver?: (end: Dispatch) => Dispatch
  /** Aborted when the road is closed. */
  readonly closed: AbortSignal
  /** How far the layers' bindings reach: the server's path, or its whole origin (the legacy SSE transport announces its POST endpoint). */
  readonly bind: 'path' | 'origin'
  /** Told when a refusal that cannot be mended was handed to an event-stream request as it is, because throwing would make the SDK reconnect for ever. */
  readonly refused?: (error: Error) => void
}

/**
 * A layer, usable in {@link authFetch} and in undici's own `compose` (which passes one argument).
 * A function with `length` 1 or 2 that returns a `dispatch` of `length` 2; undici insists on the latter.
 */
export type Interceptor = ((dispatch: Dispatch, road?: Road) => Dispatch) & { readonly [layer]?: Layer }

/**
 * Makes a layer: gives an interceptor its description and guards its entries.
 *
 * undici 8 passes an origin where a road is expected, and an older or a built-in undici passes handlers of another shape, which would hang silently: the first
 * is dropped, the second is an error that says so.
 */
export function describeLayer(interceptor: (dispatch: Dispatch, road?: Road) => Dispatch, description: Layer): Interceptor {
  function guarded(dispatch: Dispatch, road?: Road): Dispatch {
    const inner = interceptor(dispatch, isRoad(road) ? road : undefined)
    return (options, handler) => {
      if (typeof handler.onRequestStart !== 'function') throw unknownHandler()
      return inner(options, handler)
    }
  }
  return Object.defineProperty(guarded, layer, { value: Object.freeze(description) }) as Interceptor
}

function isRoad(value: unknown): value is Road {
  return typeof value === 'object' && value !== null && 'network' in value
}

function unknownHandler(): McpAuthError {
  return new McpAuthError('MCPAUTH_UNSUPPORTED_RUNTIME', 'this dispatcher was called by a fetch of another undici', {
    hint: "use authFetch, or the fetch and the dispatcher of one and the same installed undici (^7.30.2 or ^8.12.4), never Node's global fetch"
  })
}

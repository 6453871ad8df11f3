import type { DispatcherLike, FetchLike } from './auth-fetch.ts'
import type { DispatchController, DispatchHandler, DispatchOptions } from './interceptor.ts'
import { knownBytes } from './request-body.ts'
import { headerPairs, requestUrl } from './request-headers.ts'

/**
 * A dispatcher that ends in a `fetch`: the layers run, and the request leaves through that function. For tests with msw's `setupServer`, which sees only the
 * global fetch, and for hosts that must send every request themselves. Redirects are not followed here; the fetch above the layers does that.
 *
 * @param fetch @default the global fetch at the time of each request
 *
 * @example
 * ```ts
 * import { authFetch, fetchDispatcher } from '@mcpauth/core'
 * import { withBearer } from '@mcpauth/bearer-env'
 *
 * const url = new URL('https://mcp.example.com/mcp')
 * export const fetch = authFetch(withBearer(url, { env: 'EXAMPLE_TOKEN' }), { dispatcher: fetchDispatcher() })
 * ```
 */
export function fetchDispatcher(fetch: FetchLike = (url, init) => globalThis.fetch(url, init)): DispatcherLike {
  return {
    dispatch(options: DispatchOptions, handler: DispatchHandler): boolean {
      void run(fetch, options, handler)
      return true
    }
  }
}

async function run(fetch: FetchLike, options: DispatchOptions, handler: DispatchHandler): Promise<void> {
  const controller = fetchController()
  try {
    handler.onRequestStart?.(controller, {})
    if (controller.aborted) throw controller.reason
    const response = await fetch(requestUrl(options), { ...initOf(options), signal: controller.signal })
    if (controller.aborted) {
      await response.body?.cancel()
      throw controller.reason
    }
    const headers = headersOf(response)
    controller.rawHeaders = Object.entries(headers).flatMap(([name, value]) =>
      [value].flat().flatMap((item) => [Buffer.from(name), Buffer.from(item, 'latin1')])
    )
    handler.onRequestSent?.()
    handler.onResponseStart?.(controller, response.status, headers, response.statusText)
    for await (const chunk of response.body ?? []) {
      await controller.flowing()
      if (controller.aborted) throw controller.reason
      if (chunk.byteLength > 0) handler.onResponseData?.(controller, Buffer.from(chunk))
    }
    if (controller.aborted) throw controller.reason
    handler.onResponseEnd?.(controller, {})
  } catch (error) {
    handler.onResponseError?.(controller, controller.reason ?? (error as Error))
  }
}

function initOf(options: DispatchOptions): RequestInit {
  const { method, body } = options
  const headers = new Headers()
  for (const [name, value] of headerPairs(options.headers)) {
    // fetch sets these itself, and refuses or doubles them.
    if (!/^(?:host|connection|content-length|transfer-encoding)$/i.test(name)) for (const item of [value].flat()) headers.append(name, item)
  }
  const bytes = knownBytes(body)
  const hasBody = method !== 'GET' && method !== 'HEAD' && (bytes === undefined || bytes.byteLength > 0)
  return {
    method,
    headers,
    redirect: 'manual',
    ...(hasBody ? { body: (bytes ?? body) as NonNullable<RequestInit['body']>, duplex: 'half' } : {})
  }
}

function headersOf(response: Response): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = Object.fromEntries(response.headers)
  const cookies = response.headers.getSetCookie()
  if (cookies.length > 0) headers['set-cookie'] = cookies
  // The fetch below has decoded the body already.
  delete headers['content-encoding']
  delete headers['content-length']
  return headers
}

interface FetchController extends DispatchController {
  readonly signal: AbortSignal
  /** Resolves when the handler wants more. */
  flowing(): Promise<void>
}

function fetchController(): FetchController {
  const abort = new AbortController()
  let resume: (() => void) | undefined
  let paused = false
  let stopped: Promise<void> = Promise.resolve()
  function release(): void {
    paused = false
    resume?.()
  }
  return {
    rawHeaders: null,
    rawTrailers: null,
    signal: abort.signal,
    get aborted() {
      return abort.signal.aborted
    },
    get reason() {
      return abort.signal.aborted ? abort.signal.reason : null
    },
    get paused() {
      return paused
    },
    abort(reason) {
      abort.abort(reason)
      release()
    },
    pause() {
      if (paused) return
      paused = true
      stopped = new Promise((resolve) => {
        resume = resolve
      })
    },
    resume: release,
    flowing: () => (paused ? stopped : Promise.resolve())
  }
}

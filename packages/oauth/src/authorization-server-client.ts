import { type Dispatch, type DispatchController, McpAuthError, type ReadonlyHeaders, safeText } from '@mcpauth/core'
import type { AddressGuard } from './address-guard.ts'
import { OAuthResponseError } from './oauth-response-error.ts'

/** The one place that talks to authorization servers, and reads metadata: bounded in time and size, guarded, and never redirected with a secret. */
export interface AuthorizationServerClient {
  /**
   * Reads a JSON document. At most three redirects are followed, of the same scheme, each checked.
   *
   * @returns undefined when there is none: a 4xx, or something that is not JSON.
   * @throws `MCPAUTH_ADDRESS_REFUSED`, `MCPAUTH_NETWORK`, `MCPAUTH_TIMEOUT`, `MCPAUTH_OAUTH_RESPONSE` (5xx, too large)
   */
  readMetadata(url: URL, what: string, signal?: AbortSignal): Promise<unknown>
  /** Sends one request; a redirect is an answer like any other. The body is read to its end. */
  send(url: URL, what: string, request: OutgoingRequest, limits?: RequestLimits): Promise<Response>
}

/** The network of one authorization server. */
export interface RootedNetwork {
  guard: AddressGuard
  network: AuthorizationServerClient
}

/** A request, its body as text: everything that OAuth sends is. */
export interface OutgoingRequest {
  method: 'GET' | 'POST'
  headers: Record<string, string>
  body?: string
}

/** How long a request may take. */
export interface RequestLimits {
  /** From the first byte sent to the last received, in milliseconds. @default 60,000 */
  deadlineMs?: number
  signal?: AbortSignal | undefined
  /** Called when the connection is there, the moment before the request is written. What it throws ends the request, and nothing has been sent. */
  beforeSend?: (() => void) | undefined
}

const maxBytes = 1024 * 1024
const metadataDeadlineMs = 10_000
const maxRedirects = 3

/** Makes the client. `network` is looked up with each request, because a road may come later. */
export function authorizationServerClient(network: () => Dispatch, guard: Pick<AddressGuard, 'checkUrl'>): AuthorizationServerClient {
  async function send(url: URL, what: string, request: OutgoingRequest, limits: RequestLimits = {}): Promise<Response> {
    guard.checkUrl(url, what)
    return await exchange(network(), url, what, request, limits)
  }

  async function readMetadata(url: URL, what: string, signal?: AbortSignal): Promise<unknown> {
    let target = url
    for (let hops = 0; ; hops += 1) {
      const headers = { accept: 'application/json', 'mcp-protocol-version': '2025-11-25' }
      const response = await send(target, what, { method: 'GET', headers }, { deadlineMs: metadataDeadlineMs, signal })
      const next = redirectOf(response, target)
      if (!next) return await documentOf(response, `${what} of ${safeText(target.host)}`)
      if (hops === maxRedirects || next.protocol !== target.protocol) {
        throw new OAuthResponseError(`${what} of ${safeText(target.host)} redirects too often or to another scheme`, {
          status: response.status
        })
      }
      target = next
    }
  }

  return { send, readMetadata }
}

function redirectOf(response: Response, from: URL): URL | undefined {
  const location = response.headers.get('location')
  if (response.status < 300 || response.status > 399 || response.status === 304 || !location || !URL.canParse(location, from.href))
    return undefined
  return new URL(location, from)
}

async function documentOf(response: Response, what: string): Promise<unknown> {
  if (response.status >= 500 || response.status === 429) {
    throw new OAuthResponseError(`${what} cannot be read`, { status: response.status, retryAfterMs: retryAfterMs(response) })
  }
  // A page of a web application at an unknown path is the same as no document.
  return response.status === 200 ? parseJson(await response.text()) : undefined
}

/** JSON, or undefined. What JSON.parse throws quotes its input, which may hold a token. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** `Retry-After` (RFC 9110 §10.2.3) in milliseconds; seconds or a date. */
export function retryAfterMs(response: Response, now: number = Date.now()): number | undefined {
  const value = response.headers.get('retry-after')
  if (value === null) return undefined
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now
  return Number.isFinite(ms) && ms >= 0 ? ms : undefined
}

/** Codes of a certificate whose issuer is not known here. */
const unknownIssuer = [
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'
]

/** Codes of failures before a single byte of the request can have reached the server. */
const neverSent = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'CERT_HAS_EXPIRED',
  ...unknownIssuer
])

/** Whether a connection broke in such a way that the server may have acted on the request all the same. */
export function mayHaveArrived(error: unknown): boolean {
  if (!McpAuthError.is(error) || error.code !== 'MCPAUTH_NETWORK') return false
  return !neverSent.has(String((error.cause as { code?: unknown } | undefined)?.code))
}

function exchange(dispatch: Dispatch, url: URL, what: string, request: OutgoingRequest, limits: RequestLimits): Promise<Response> {
  const { deadlineMs = 60_000, signal, beforeSend } = limits
  return new Promise((resolve, reject) => {
    let controller: DispatchController | undefined
    let stopped: Error | undefined
    let head: { status: number; headers: ReadonlyHeaders } | undefined
    let size = 0
    const chunks: Uint8Array[] = []

    const timer = setTimeout(
      () =>
        stop(
          new McpAuthError('MCPAUTH_TIMEOUT', `${what} at ${safeText(url.host)} took longer than ${deadlineMs / 1000} s`, {
            hint: tryAgain
          })
        ),
      deadlineMs
    )
    const onAbort = (): void => stop(givenUp(what, signal?.reason))
    signal?.addEventListener('abort', onAbort)

    function finish(): void {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    function stop(reason: Error): void {
      if (stopped) return
      stopped = reason
      finish()
      reject(reason)
      controller?.abort(reason)
    }
    function mayBegin(): void {
      try {
        beforeSend?.()
      } catch (error) {
        stop(error as Error)
      }
    }
    if (signal?.aborted) onAbort()
    if (stopped) return

    const options = {
      origin: url.origin,
      path: url.pathname + url.search,
      method: request.method,
      headers: request.headers,
      body: request.body ?? null,
      // An idle connection that died unnoticed could not be told from one on which the server has acted.
      reset: true
    }
    try {
      dispatch(options, {
        onRequestStart(started) {
          controller = started
          if (stopped) started.abort(stopped)
          else mayBegin()
        },
        onResponseStart(_controller, status, headers) {
          // One of 1xx is followed by another.
          head = { status, headers }
        },
        onResponseData(_controller, chunk) {
          size += chunk.byteLength
          if (size > maxBytes) stop(new OAuthResponseError(`${what}: the answer is larger than 1 MiB`, { status: head?.status ?? 0 }))
          else chunks.push(Uint8Array.from(chunk))
        },
        onResponseEnd() {
          if (stopped) return
          finish()
          resolve(responseOf(head as { status: number; headers: ReadonlyHeaders }, chunks))
        },
        onResponseError(_controller, error) {
          stop(networkError(what, url, error))
        }
      })
    } catch (error) {
      stop(networkError(what, url, error as Error))
    }
  })
}

function givenUp(what: string, reason: unknown): McpAuthError {
  if (McpAuthError.is(reason)) return reason
  const late = (reason as { name?: unknown } | undefined)?.name === 'TimeoutError'
  return new McpAuthError(late ? 'MCPAUTH_TIMEOUT' : 'MCPAUTH_CLOSED', `${what} ${late ? 'came too late' : 'was given up'}`)
}

function responseOf(head: { status: number; headers: ReadonlyHeaders }, chunks: readonly Uint8Array[]): Response {
  const headers = new Headers()
  for (const [name, value] of Object.entries(head.headers)) {
    for (const item of Array.isArray(value) ? value : [value]) if (item !== undefined) headers.append(name, item)
  }
  const empty = head.status === 204 || head.status === 205 || head.status === 304
  return new Response(empty ? null : Buffer.concat(chunks), { status: head.status, headers })
}

const tryAgain = 'try again; nothing that was stored has been changed'

/** Only the code of what undici threw is kept: nothing in it can hold a secret. */
function networkError(what: string, url: URL, error: Error): McpAuthError {
  if (McpAuthError.is(error)) return error
  const own = McpAuthError.is(error.cause) ? error.cause : undefined
  if (own) return own
  const code = String((error as NodeJS.ErrnoException).code ?? error.name)
  return new McpAuthError('MCPAUTH_NETWORK', `${what}: no answer from ${safeText(url.host)} (${code})`, {
    hint: unknownIssuer.includes(code)
      ? 'its certificate is not trusted here: start with NODE_EXTRA_CA_CERTS=<file of its authority>'
      : `check the network and ${tryAgain}`,
    cause: Object.assign(new Error(code), { code })
  })
}

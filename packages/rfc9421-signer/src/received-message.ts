import { knownBytes } from '@mcpauth/core'
import { fieldsOf, type HttpMessage, normalAuthority, type RequestMessage } from './http-message.ts'
import { signatureInvalid } from './signature-error.ts'

/** A request as a server sees it. */
export interface SignedRequest {
  readonly method: string
  /** Absolute. Its path and query are taken as they are written, so give the request line's own and not a normalised one. */
  readonly url: string | URL
  /** An object, `Headers`, or node's `rawHeaders`, which alone keep repeated lines apart. */
  readonly headers: unknown
  /** When its bytes are known (a string, a `Uint8Array`, …), a covered `Content-Digest` is held against them; a stream is left to its owner. */
  readonly body?: unknown
}

/** A response as a client sees it, and the request it answers. */
export interface SignedResponse {
  readonly status: number
  readonly headers: unknown
  /** See {@link SignedRequest}. */
  readonly body?: unknown
  readonly request?: SignedRequest | undefined
}

/**
 * What was received, as a signature sees it.
 *
 * @throws `MCPAUTH_SIGNATURE_INVALID` the URL is none that a signature could cover
 */
export function receivedMessage(message: SignedRequest | SignedResponse): HttpMessage {
  if (!('status' in message)) return requestFrom(message)
  const request = message.request && requestFrom(message.request)
  return { kind: 'response', status: message.status, fields: fieldsOf(message.headers), request }
}

/** Path and query as they are written: what the parser makes of `/a/../b` is not what was signed. */
function requestFrom({ method, url, headers }: SignedRequest): RequestMessage {
  const text = String(url)
  const [, scheme = '', host = '', target = ''] = /^(https?):\/\/([^/?#]*)([^#]*)/i.exec(text) ?? []
  const authority = host === '' ? undefined : normalAuthority(host, scheme.toLowerCase())
  if (authority === undefined) throw signatureInvalid('@target-uri: the url is not an absolute http(s) URL')
  return {
    kind: 'request',
    method: String(method),
    scheme: scheme.toLowerCase(),
    authority,
    target: target.startsWith('/') ? target : `/${target}`,
    fields: fieldsOf(headers)
  }
}

/** The bytes of its body; undefined where they are not known. */
export function receivedBody(message: SignedRequest | SignedResponse): Uint8Array | undefined {
  // The absence of a body is not the empty body: a web Request that was read has none any more.
  return message.body === undefined || message.body === null ? undefined : knownBytes(message.body)
}

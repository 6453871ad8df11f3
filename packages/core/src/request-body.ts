import { McpAuthError } from './errors.ts'
import type { DispatchOptions } from './interceptor.ts'
import { headerValue } from './request-headers.ts'

const empty = new Uint8Array(0)

/** The bytes of a body, without reading anything; undefined for a body that must be read. */
export function knownBytes(body: unknown): Uint8Array | undefined {
  if (body === null || body === undefined) return empty
  if (typeof body === 'string') return Buffer.from(body)
  if (body instanceof Uint8Array) return body
  if (body instanceof ArrayBuffer) return new Uint8Array(body)
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
  return undefined
}

/**
 * Reads a body of any kind that undici takes: a stream, an iterable, a Blob, FormData.
 *
 * @param maxBytes Reading stops there.
 * @throws `MCPAUTH_BODY_TOO_LARGE`
 */
export async function readBytes(body: unknown, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of chunksOf(body)) {
    const bytes = knownBytes(chunk) ?? empty
    size += bytes.byteLength
    if (size > maxBytes) {
      throw new McpAuthError('MCPAUTH_BODY_TOO_LARGE', `the request body is longer than ${maxBytes} bytes`, {
        hint: 'raise maxBodyBytes, or send a body whose bytes are known'
      })
    }
    chunks.push(bytes)
  }
  return chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks)
}

function chunksOf(body: unknown): AsyncIterable<unknown> | Iterable<unknown> {
  const known = knownBytes(body)
  if (known) return [known]
  // Blob and FormData: Response knows how each becomes bytes.
  if (typeof (body as Blob).stream === 'function') return (body as Blob).stream() as unknown as AsyncIterable<unknown>
  if (typeof (body as FormData).getAll === 'function') {
    throw new McpAuthError('MCPAUTH_BODY_NOT_REPLAYABLE', 'a FormData body has no bytes of its own', {
      hint: 'encode it first, and send the bytes'
    })
  }
  return body as AsyncIterable<unknown> | Iterable<unknown>
}

/** A request whose body may be sent more than once. */
export interface ReplayableRequest {
  /** The request to send first. */
  readonly options: DispatchOptions
  /** The same request with its whole body again; undefined when the body is gone. */
  again(): DispatchOptions | undefined
}

/** As much of a one-shot body is kept for a replay. */
const maxKeptBytes = 1024 * 1024

/**
 * Keeps what is needed to send a request again. A body of known bytes is kept as it is. `undici.fetch` hands on a one-shot generator whatever its caller
 * passed, with the length it knew: such a body is copied while it is sent, up to 1 MiB. A real stream is sent once.
 */
export function replayableRequest(options: DispatchOptions): ReplayableRequest {
  const { body } = options
  if (knownBytes(body) || isReusable(body)) return { options, again: () => options }
  const length = isGenerator(body) ? Number(headerValue(options.headers, 'content-length') ?? Number.NaN) : Number.NaN
  if (!(length <= maxKeptBytes)) return { options, again: () => undefined }
  const copy = copied(body as AsyncIterable<unknown>)
  return {
    options: withBody(options, copy.body),
    again: () => {
      const bytes = copy.bytes()
      return bytes.byteLength === length ? withBody(options, bytes) : undefined
    }
  }
}

/** The same request with another body; also where undici 8's fetch keeps a second reference to it. */
export function withBody<O extends DispatchOptions>(options: O, body: unknown): O {
  return '__mockAgentBodyForDispatch' in options ? { ...options, body, __mockAgentBodyForDispatch: body } : { ...options, body }
}

/** Blob and FormData give their bytes as often as they are asked. */
function isReusable(body: unknown): boolean {
  const kind = (body as Record<symbol, unknown>)[Symbol.toStringTag]
  return kind === 'Blob' || kind === 'File' || kind === 'FormData'
}

function isGenerator(body: unknown): boolean {
  return typeof (body as AsyncGenerator).next === 'function' && typeof (body as AsyncIterable<unknown>)[Symbol.asyncIterator] === 'function'
}

function copied(source: AsyncIterable<unknown>): { body: AsyncIterable<unknown>; bytes(): Uint8Array } {
  const chunks: Uint8Array[] = []
  async function* tee(): AsyncGenerator<unknown> {
    for await (const chunk of source) {
      chunks.push(Uint8Array.from(knownBytes(chunk) ?? empty))
      yield chunk
    }
  }
  return { body: tee(), bytes: () => Buffer.concat(chunks) }
}

import type { McpAuthError } from './errors.ts'
import type { DispatchController, ReadonlyHeaders } from './interceptor.ts'

/** What is known of an answer before its body. */
export interface AnswerHead {
  readonly status: number
  readonly headers: ReadonlyHeaders
}

/** An answer that was held back and read to its end, so that its connection is free. */
export interface HeldAnswer extends AnswerHead {
  readonly statusMessage?: string
  /** At most 64 KiB of it. */
  readonly body: Uint8Array
}

/** An answer in memory, as a caller can be handed it after all. */
export interface KeptAnswer extends AnswerHead {
  readonly statusMessage: string | undefined
  /** As undici's controller has them. */
  readonly rawHeaders: unknown
  readonly chunks: readonly Uint8Array[]
}

/** A refused answer longer than this is cut off; its connection is given up. */
const maxHeldBytes = 64 * 1024
/** A server that sends its refusal byte by byte is not waited for longer. */
const maxHoldMs = 10_000

/** An answer that is being held back: its body is read to its end or to a limit, whichever comes first. */
export class HoldingAnswer implements KeptAnswer {
  readonly status: number
  readonly headers: ReadonlyHeaders
  readonly statusMessage: string | undefined
  readonly rawHeaders: unknown
  readonly chunks: Uint8Array[] = []
  readonly #limit: NodeJS.Timeout
  #size = 0
  #ended = false

  constructor(controller: DispatchController, status: number, headers: ReadonlyHeaders, statusMessage: string | undefined) {
    this.status = status
    this.headers = headers
    this.statusMessage = statusMessage
    this.rawHeaders = controller.rawHeaders
    this.#limit = setTimeout(() => controller.abort(new Error('the refused answer took too long')), maxHoldMs)
    this.#limit.unref()
  }

  /** One piece of its body. Past the limit the connection is given up, which ends the answer. */
  add(controller: DispatchController, chunk: Uint8Array): void {
    if (this.#ended) return
    this.#size += chunk.byteLength
    if (this.#size <= maxHeldBytes) this.chunks.push(Uint8Array.from(chunk))
    else controller.abort(new Error('the refused answer is too long'))
  }

  /** Nothing more comes. False when that was known already. */
  end(): boolean {
    if (this.#ended) return false
    this.#ended = true
    clearTimeout(this.#limit)
    return true
  }

  /** What there is of it. */
  answer(): HeldAnswer {
    const { status, headers, statusMessage, chunks } = this
    const body = chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks)
    return { status, headers, body, ...(statusMessage === undefined ? {} : { statusMessage }) }
  }
}

/** An answer of our own to a request that was never sent: a 401 that says so. */
export function ownRefusal(error: McpAuthError): KeptAnswer {
  const body = Buffer.from(`${error.code}: ${error.message}`)
  const headers = { 'content-type': 'text/plain; charset=utf-8', 'content-length': String(body.byteLength), 'x-mcpauth-error': error.code }
  return {
    status: 401,
    headers,
    statusMessage: 'Unauthorized',
    rawHeaders: Object.entries(headers).flatMap(([name, value]) => [Buffer.from(name), Buffer.from(value)]),
    chunks: [body]
  }
}

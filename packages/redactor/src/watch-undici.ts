import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Redactor } from './create-redactor.ts'

const channels = [
  'undici:request:create',
  'undici:request:headers',
  'undici:request:error',
  'undici:client:sendHeaders',
  'undici:client:connected',
  'undici:client:connectError'
] as const

/**
 * Listens to undici's diagnostics, whose payloads hold every header as it is sent, and reports each event without secrets.
 * Other listeners of these channels still see the originals.
 *
 * @param report Takes a plain object with the channel's name and what it said.
 * @returns Stops listening.
 */
export function watchUndici(redactor: Redactor, report: (event: Record<string, unknown>) => void): () => void {
  const listeners = channels.map((channel) => {
    const listener = (message: unknown): void => report({ channel, ...facts(message as UndiciMessage, redactor) })
    subscribe(channel, listener)
    return { channel, listener }
  })
  return () => {
    for (const { channel, listener } of listeners) unsubscribe(channel, listener)
  }
}

/** What the channels' messages have between them. */
interface UndiciMessage {
  readonly request?: {
    readonly origin?: string | URL
    readonly method?: string
    readonly path?: string
    readonly headers?: string | string[]
  }
  readonly response?: { readonly statusCode?: number; readonly headers?: ReadonlyArray<Uint8Array | string> }
  readonly headers?: string
  readonly error?: unknown
  readonly connectParams?: {
    readonly host?: string
    readonly hostname?: string
    readonly port?: string | number
    readonly protocol?: string
  }
}

function facts({ request, response, headers, error, connectParams }: UndiciMessage, redactor: Redactor): Record<string, unknown> {
  return {
    ...(request && { method: request.method, url: redactor.redactUrl(`${request.origin ?? ''}${request.path ?? ''}`) }),
    ...(request?.headers && { requestHeaders: headersOf(request.headers, redactor) }),
    ...(headers && { sent: redactor.redactText(headers) }),
    ...(response && { status: response.statusCode, responseHeaders: headersOf(response.headers?.map(String) ?? [], redactor) }),
    ...(connectParams && {
      host: redactor.redactText(String(connectParams.host ?? connectParams.hostname)),
      port: connectParams.port,
      protocol: connectParams.protocol
    }),
    ...(error !== undefined && { error: redactor.redactError(error).message })
  }
}

/** undici gives header lines, or a flat list. */
function headersOf(headers: string | readonly string[], redactor: Redactor): unknown {
  return typeof headers === 'string' ? redactor.redactText(headers) : redactor.redactHeaders(headers)
}

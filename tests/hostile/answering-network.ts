import type { DispatchController, DispatcherLike, DispatchOptions } from '@mcpauth/core'

/** What the network answers. A body in several chunks is given chunk by chunk, until the client has had enough. */
export interface Answer {
  status: number
  headers?: Record<string, string>
  body?: string | Iterable<Uint8Array>
}

/** A network in which one function answers everything, without a socket: for many thousand tries. */
export interface AnsweringNetwork extends DispatcherLike {
  /** How many bytes of bodies were taken off it. */
  readonly given: number
}

export function answeringNetwork(answer: (url: URL, options: DispatchOptions) => Answer): AnsweringNetwork {
  const network = {
    given: 0,
    dispatch: ((options, handler) => {
      let stopped: Error | undefined
      const controller: DispatchController = {
        aborted: false,
        reason: null,
        paused: false,
        rawHeaders: [],
        abort: (reason) => {
          stopped ??= reason
        },
        pause: () => {},
        resume: () => {}
      }
      queueMicrotask(() => {
        handler.onRequestStart?.(controller, {})
        const { status, headers = {}, body = '' } = answer(new URL(options.path, String(options.origin)), options)
        if (!stopped) handler.onResponseStart?.(controller, status, { 'content-type': 'application/json', ...headers }, '')
        for (const chunk of typeof body === 'string' ? [Buffer.from(body)] : body) {
          if (stopped) break
          network.given += chunk.byteLength
          handler.onResponseData?.(controller, chunk)
        }
        if (stopped) handler.onResponseError?.(controller, stopped)
        else handler.onResponseEnd?.(controller, {})
      })
      return true
    }) as DispatcherLike['dispatch']
  }
  return network
}

import { type Dispatch, type DispatchOptions, headerValue, type Interceptor } from '@mcpauth/core'

/** What came out at the end of a layer, or the error that came out in its place. */
export interface Captured {
  readonly options: DispatchOptions
  header(name: string): string | undefined
}

/** Sends one request through a layer into nothing, and tells what would have been sent. */
export function capture(layer: Interceptor, options: DispatchOptions): Promise<Captured> {
  return new Promise((resolve, reject) => {
    const end: Dispatch = (sent) => {
      resolve({ options: sent, header: (name) => headerValue(sent.headers, name) })
      return true
    }
    layer(end)(options, { onRequestStart: () => undefined, onResponseError: (_controller, error) => reject(error) })
  })
}

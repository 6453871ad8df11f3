import type { DispatchController } from './interceptor.ts'

/**
 * Stands in for the controller of a request that is not on its way yet, or that is sent more than once. The caller's handler gets it once and for good;
 * each real controller is attached to it.
 */
export class StandInController implements DispatchController {
  aborted = false
  reason: Error | null = null
  paused = false
  // undici 8's fetch reads the headers from here.
  rawHeaders: unknown = null
  rawTrailers: unknown = null
  #target: DispatchController | undefined
  readonly #onAbort: (reason: Error) => void

  /** @param onAbort Called once, when the caller aborts while no real request could tell it so. */
  constructor(onAbort: (reason: Error) => void) {
    this.#onAbort = onAbort
  }

  attach(target: DispatchController): void {
    this.#target = target
    if (this.aborted) target.abort(this.reason as Error)
    else if (this.paused) target.pause()
  }

  detach(): void {
    this.#target = undefined
  }

  abort(reason: Error): void {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason
    if (this.#target) this.#target.abort(reason)
    else this.#onAbort(reason)
  }

  pause(): void {
    this.paused = true
    this.#target?.pause()
  }

  resume(): void {
    this.paused = false
    this.#target?.resume()
  }
}

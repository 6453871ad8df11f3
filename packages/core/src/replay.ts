import { StandInController } from './deferred-dispatch.ts'
import { withoutSecrets } from './discreet-error.ts'
import { McpAuthError } from './errors.ts'
import { publish } from './events.ts'
import { type AnswerHead, type HeldAnswer, HoldingAnswer, type KeptAnswer, ownRefusal } from './held-answer.ts'
import type { Dispatch, DispatchController, DispatchHandler, DispatchOptions, ReadonlyHeaders, Road } from './interceptor.ts'
import { type ReplayableRequest, replayableRequest } from './request-body.ts'
import { headerValue, requestUrl } from './request-headers.ts'

/** One send: the request as it goes on, and what the policy wants to remember of it (which token it carries). */
export interface Prepared<S> {
  readonly options: DispatchOptions
  readonly sent: S
}

/** One look at a held answer. */
export interface Turn {
  /** Aborted when the caller goes away. */
  readonly waiter: AbortSignal
  /** Pays for one more send. False when this request has paid for the same cause before, or was sent five times: it must not go out again. */
  spend(cause: string): boolean
}

/** What a layer does about answers. The request's original never changes; every send is prepared from it anew. */
export interface ReplayPolicy<S> {
  /** Makes the request that goes on; a promise when something must be awaited first. Never changes `original`. */
  prepare(original: DispatchOptions, waiter: () => AbortSignal): Prepared<S> | Promise<Prepared<S>>
  /** Sees every answer's head. True: hold it back and ask `recover`. */
  inspect(answer: AnswerHead, sent: S): boolean
  /** `again`: send anew. `pass`: hand the held answer to the caller. Throwing ends the request with that error. */
  recover(answer: HeldAnswer, sent: S, turn: Turn): Promise<'again' | 'pass'>
}

/** DPoP's worst case: 401, nonce, 403 scope, rotated nonce, 200. */
const maxSends = 5

interface Budget {
  sends: number
  spent: Set<string> | undefined
}

/** Travels with the request, so that the layers share it. */
const budgetKey = Symbol.for('mcpauth.replay.budget')

/**
 * Sends a request as a policy prepares it, and sends it again when the policy mended what an answer refused. The one mechanism for replaying, and for waiting
 * before a first send.
 *
 * A refusal that cannot be mended ends the request with the policy's error. One exception: a GET that accepts only `text/event-stream` gets the refused answer
 * itself, since the SDK's legacy transport reconnects for ever when fetch throws; the error goes to `road.refused` and to `mcpauth:request:refused`.
 */
export function replaying<S>(
  dispatch: Dispatch,
  options: DispatchOptions,
  handler: DispatchHandler,
  policy: ReplayPolicy<S>,
  road?: Road
): boolean {
  return new ReplayingRequest(dispatch, options, handler, policy, road).start()
}

class ReplayingRequest<S> implements DispatchHandler {
  readonly #dispatch: Dispatch
  readonly #original: DispatchOptions
  readonly #request: ReplayableRequest
  readonly #handler: DispatchHandler
  readonly #policy: ReplayPolicy<S>
  readonly #road: Road | undefined
  readonly #controller: StandInController
  readonly #budget: Budget
  #sent: S | undefined
  #held: HoldingAnswer | undefined
  #waiter: AbortController | undefined
  #started = false
  #done = false

  constructor(dispatch: Dispatch, options: DispatchOptions, handler: DispatchHandler, policy: ReplayPolicy<S>, road: Road | undefined) {
    this.#dispatch = dispatch
    this.#request = replayableRequest(options)
    this.#original = this.#request.options
    this.#handler = handler
    this.#policy = policy
    this.#road = road
    this.#budget = (options as { [budgetKey]?: Budget })[budgetKey] ?? { sends: 1, spent: undefined }
    this.#controller = new StandInController((reason) => this.#abandon(reason))
  }

  start(): boolean {
    const prepared = this.#prepare(this.#original)
    if (!(prepared instanceof Promise)) return this.#send(prepared)
    // The caller must be able to abort while the credential is awaited.
    this.#startOnce({})
    this.#follow(
      prepared.then((ready) => {
        if (!this.#done) this.#send(ready)
      })
    )
    return true
  }

  /** What a policy throws at once goes the way of what it rejects with: to the handler. */
  #prepare(request: DispatchOptions): Prepared<S> | Promise<Prepared<S>> {
    try {
      return this.#policy.prepare(request, () => this.#waiterSignal())
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #send(prepared: Prepared<S>): boolean {
    this.#sent = prepared.sent
    // A prepared request is the policy's own copy; an unchanged one must be copied before it is given the budget.
    const outgoing = prepared.options === this.#original ? { ...prepared.options } : prepared.options
    ;(outgoing as { [budgetKey]?: Budget })[budgetKey] = this.#budget
    return this.#dispatch(outgoing, this)
  }

  onRequestStart(controller: DispatchController, context: unknown): void {
    this.#controller.attach(controller)
    this.#startOnce(context)
  }

  onRequestUpgrade(_controller: DispatchController, status: number, headers: ReadonlyHeaders, socket: never): void {
    this.#handler.onRequestUpgrade?.(this.#controller, status, headers, socket)
  }

  onBodySent(chunk: unknown, length?: number): void {
    this.#handler.onBodySent?.(chunk, length)
  }

  onRequestSent(): void {
    this.#handler.onRequestSent?.()
  }

  onResponseStarted(): void {
    this.#handler.onResponseStarted?.()
  }

  onResponseStart(controller: DispatchController, status: number, headers: ReadonlyHeaders, statusMessage?: string): void {
    if (status >= 200 && this.#policy.inspect({ status, headers }, this.#sent as S)) {
      this.#held = new HoldingAnswer(controller, status, headers, statusMessage)
      return
    }
    this.#controller.rawHeaders = controller.rawHeaders
    this.#handler.onResponseStart?.(this.#controller, status, headers, statusMessage)
  }

  onResponseData(controller: DispatchController, chunk: Uint8Array): void {
    if (this.#held) this.#held.add(controller, chunk)
    else this.#handler.onResponseData?.(this.#controller, chunk)
  }

  onResponseEnd(controller: DispatchController, trailers: ReadonlyHeaders): void {
    if (this.#held) {
      this.#settle(this.#held)
    } else {
      this.#done = true
      this.#controller.rawTrailers = controller.rawTrailers
      this.#handler.onResponseEnd?.(this.#controller, trailers)
    }
  }

  onResponseError(_controller: DispatchController, error: Error): void {
    // What is left of a refused answer does not matter, unless it was the caller who broke it off.
    if (this.#held && !this.#controller.aborted) {
      this.#settle(this.#held)
    } else {
      this.#held?.end()
      this.#fail(withoutSecrets(error))
    }
  }

  #settle(held: HoldingAnswer): void {
    if (!held.end()) return
    this.#controller.detach()
    this.#follow(this.#recover(held))
  }

  async #recover(held: HoldingAnswer): Promise<void> {
    const verdict = await this.#policy.recover(held.answer(), this.#sent as S, {
      waiter: this.#waiterSignal(),
      spend: (cause) => this.#spend(cause)
    })
    if (this.#done) return
    if (verdict === 'pass') return this.#release(held)
    const again = this.#request.again()
    if (!again) {
      throw new McpAuthError('MCPAUTH_BODY_NOT_REPLAYABLE', `the server answered ${held.status}, and the request's body is gone`, {
        hint: 'the credential has been renewed: send the request again, with a body whose bytes are known'
      })
    }
    const prepared = await this.#prepare(again)
    if (this.#done) return
    publish('mcpauth:request:replayed', { method: this.#original.method, origin: requestUrl(this.#original).origin, status: held.status })
    this.#held = undefined
    this.#send(prepared)
  }

  #spend(cause: string): boolean {
    const budget = this.#budget
    if (budget.sends >= maxSends || budget.spent?.has(cause)) return false
    budget.spent ??= new Set()
    budget.spent.add(cause)
    budget.sends += 1
    return true
  }

  #startOnce(context: unknown): void {
    if (this.#started) return
    this.#started = true
    this.#handler.onRequestStart?.(this.#controller, context)
  }

  /** Ends the request when the work it waits for fails. */
  #follow(work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (this.#done) return
      if (McpAuthError.is(error)) this.#refuse(error)
      else this.#fail(error as Error)
    })
  }

  #refuse(error: McpAuthError): void {
    publish('mcpauth:request:refused', { method: this.#original.method, origin: requestUrl(this.#original).origin, code: error.code })
    if (isEventStreamRequest(this.#original)) {
      this.#release(this.#held ?? ownRefusal(error))
      this.#road?.refused?.(error)
    } else {
      this.#fail(error)
    }
  }

  /** Hands a held answer to the caller after all. */
  #release(held: KeptAnswer): void {
    this.#done = true
    const controller = this.#controller
    controller.rawHeaders = held.rawHeaders
    this.#handler.onResponseStart?.(controller, held.status, held.headers, held.statusMessage ?? '')
    for (const chunk of held.chunks) if (!controller.aborted) this.#handler.onResponseData?.(controller, Buffer.from(chunk))
    if (!controller.aborted) this.#handler.onResponseEnd?.(controller, {})
  }

  #fail(error: Error): void {
    if (this.#done) return
    this.#done = true
    this.#waiter?.abort(error)
    this.#handler.onResponseError?.(this.#controller, error)
  }

  /** The caller aborts while nothing is on its way: it leaves alone, what it waited for goes on. */
  #abandon(reason: Error): void {
    this.#fail(reason)
  }

  #waiterSignal(): AbortSignal {
    this.#waiter ??= new AbortController()
    return this.#road ? AbortSignal.any([this.#waiter.signal, this.#road.closed]) : this.#waiter.signal
  }
}

function isEventStreamRequest(options: DispatchOptions): boolean {
  return options.method === 'GET' && headerValue(options.headers, 'accept')?.trim().toLowerCase() === 'text/event-stream'
}

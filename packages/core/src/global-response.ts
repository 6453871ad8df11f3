import type { CustomInspectFunction } from 'node:util'
import { markAsUncloneable } from 'node:worker_threads'
import { standInFor } from './stand-in.ts'

/**
 * Makes the answers of undici's own fetch answers of the global class.
 *
 * The SDKs ask `instanceof Response`, and what `undici.fetch` returns is no instance of the global class. A new `Response` around its stream would pass every
 * chunk through a second stream; this one hands each call on to the answer it stands for.
 */
export function globalResponse(response: Response): Response {
  return new BridgedResponse(response) as unknown as Response
}

/** `inspect.custom` of `node:util`. An import of it would load all that hangs on that module. */
const inspectCustom = Symbol.for('nodejs.util.inspect.custom')

/** Answers to every member of the global class: what is inherited from there would look for an answer of its own. */
class BridgedResponse {
  readonly #response: Response
  #headers: BridgedHeaders | undefined

  constructor(response: Response) {
    this.#response = response
    markAsUncloneable(this)
  }

  get status(): number {
    return this.#response.status
  }
  get statusText(): string {
    return this.#response.statusText
  }
  get ok(): boolean {
    return this.#response.ok
  }
  get headers(): BridgedHeaders {
    this.#headers ??= new BridgedHeaders(this.#response.headers)
    return this.#headers
  }
  get url(): string {
    return this.#response.url
  }
  get redirected(): boolean {
    return this.#response.redirected
  }
  get type(): Response['type'] {
    return this.#response.type
  }
  get body(): Response['body'] {
    return this.#response.body
  }
  get bodyUsed(): boolean {
    return this.#response.bodyUsed
  }
  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#response.arrayBuffer()
  }
  blob(): ReturnType<Response['blob']> {
    return this.#response.blob()
  }
  bytes(): ReturnType<Response['bytes']> {
    return this.#response.bytes()
  }
  formData(): Promise<FormData> {
    return this.#response.formData()
  }
  json(): Promise<unknown> {
    return this.#response.json()
  }
  text(): Promise<string> {
    return this.#response.text()
  }
  /** undefined in undici 7. */
  get textStream(): (() => unknown) | undefined {
    return (this.#response as { textStream?: () => unknown }).textStream?.bind(this.#response)
  }
  clone(): BridgedResponse {
    return new BridgedResponse(this.#response.clone())
  }
  get [Symbol.toStringTag](): string {
    return 'Response'
  }
  [inspectCustom](...call: Parameters<CustomInspectFunction>): unknown {
    return inspectAs(this.#response, call)
  }
}

class BridgedHeaders {
  readonly #headers: Headers

  constructor(headers: Headers) {
    this.#headers = headers
    markAsUncloneable(this)
  }

  append(name: string, value: string): void {
    this.#headers.append(name, value)
  }
  delete(name: string): void {
    this.#headers.delete(name)
  }
  get(name: string): string | null {
    return this.#headers.get(name)
  }
  getSetCookie(): string[] {
    return this.#headers.getSetCookie()
  }
  has(name: string): boolean {
    return this.#headers.has(name)
  }
  set(name: string, value: string): void {
    this.#headers.set(name, value)
  }
  forEach(callback: (value: string, name: string, headers: BridgedHeaders) => void, thisArgument?: unknown): void {
    this.#headers.forEach((value, name) => {
      callback.call(thisArgument, value, name, this)
    })
  }
  entries(): ReturnType<Headers['entries']> {
    return this.#headers.entries()
  }
  keys(): ReturnType<Headers['keys']> {
    return this.#headers.keys()
  }
  values(): ReturnType<Headers['values']> {
    return this.#headers.values()
  }
  [Symbol.iterator](): ReturnType<Headers['entries']> {
    return this.#headers.entries()
  }
  get [Symbol.toStringTag](): string {
    return 'Headers'
  }
  [inspectCustom](...call: Parameters<CustomInspectFunction>): unknown {
    return inspectAs(this.#headers, call)
  }
}

function inspectAs(value: object, call: Parameters<CustomInspectFunction>): unknown {
  return (value as { [inspectCustom]: CustomInspectFunction })[inspectCustom](...call)
}

standInFor(BridgedResponse, () => Response)
standInFor(BridgedHeaders, () => Headers)

/** Makes the answers of undici's own fetch answers of the global class. */
export type ResponseBridge = (response: Response) => Response

/**
 * The SDKs ask `instanceof Response`, and what `undici.fetch` returns is no instance of the global class. A new `Response` around its stream would pass every
 * chunk through a second stream; this one hands each call on to the answer it stands for.
 *
 * The class is made on first use: touching the global `Response` costs 24 ms at start-up.
 */
export function globalResponse(response: Response): Response {
  bridge.make ??= responseBridge()
  return bridge.make(response)
}

/** Not state: the class, made once. */
const bridge: { make?: ResponseBridge } = {}

function responseBridge(): ResponseBridge {
  // The types have methods and accessors as properties, which a subclass may not override.
  const Base = Response as unknown as new (body: null, init: ResponseInit) => object
  class BridgedResponse extends Base {
    readonly #response: Response
    #headers: Headers | undefined

    constructor(response: Response) {
      super(null, { status: response.status, statusText: response.statusText })
      this.#response = response
    }

    get headers(): Headers {
      this.#headers ??= new Headers(this.#response.headers)
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
    clone(): BridgedResponse {
      return new BridgedResponse(this.#response.clone())
    }
  }
  return (response) => new BridgedResponse(response) as unknown as Response
}

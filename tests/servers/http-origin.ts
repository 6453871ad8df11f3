import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One request as the server saw it. */
export interface RecordedRequest {
  readonly method: string
  /** Path and query, as sent. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** When it came, in milliseconds since the epoch with a fraction. */
  readonly atMs: number
  /** Absent unless the handler read it. */
  body?: string
  /** undefined until the head of the answer was sent. */
  readonly status: number | undefined
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>

/** A real HTTP server on an ephemeral port of 127.0.0.1, on which test servers are mounted. */
export interface Origin extends AsyncDisposable {
  /** With a trailing slash, as in `http://127.0.0.1:40001/`. */
  readonly url: URL
  readonly requests: RecordedRequest[]
  /** Serves the path itself and what is below it; of several, the longest wins. */
  mount(path: string, handler: Handler): void
  /** Ends every connection, then listens on the same port again. */
  restart(): Promise<void>
  close(): Promise<void>
}

export async function startOrigin(options: { port?: number } = {}): Promise<Origin> {
  const mounts: Array<[path: string, handler: Handler]> = []
  const requests: RecordedRequest[] = []
  const server = createServer(serve)
  await listen(options.port ?? 0)
  const { port } = server.address() as AddressInfo

  function listen(onPort: number): Promise<void> {
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(onPort, '127.0.0.1', () => resolve(void server.off('error', reject)))
    })
  }

  function serve(request: IncomingMessage, response: ServerResponse): void {
    const record: RecordedRequest = {
      method: request.method as string,
      path: request.url as string,
      headers: request.headers,
      atMs: performance.timeOrigin + performance.now(),
      get status() {
        return response.headersSent ? response.statusCode : undefined
      }
    }
    requests.push(record)
    records.set(request, record)
    const pathname = record.path.split('?')[0] as string
    const handler = mounts.find(([path]) => path === '/' || pathname === path || pathname.startsWith(`${path}/`))?.[1]
    if (handler) Promise.resolve(handler(request, response)).catch((error: unknown) => fail(response, error))
    else response.writeHead(404).end()
  }

  function close(): Promise<void> {
    return new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  }

  return {
    url: new URL(`http://127.0.0.1:${port}/`),
    requests,
    mount(path, handler) {
      mounts.push([path, handler])
      mounts.sort(([a], [b]) => b.length - a.length)
    },
    async restart() {
      await close()
      await listen(port)
    },
    close,
    [Symbol.asyncDispose]: close
  }
}

const records = new WeakMap<IncomingMessage, RecordedRequest>()

/** Reads a request's body to its end and keeps it in the origin's record. */
export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks).toString()
  const record = records.get(request)
  if (record) record.body = body
  return body
}

export function sendJson(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) response.destroy()
  else response.writeHead(500, { 'content-type': 'text/plain' }).end(String(error))
}

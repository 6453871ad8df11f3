import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A throw-away server on loopback that keeps what it was sent. */
export interface HttpServer extends AsyncDisposable {
  readonly url: URL
  readonly requests: Array<{ method: string; path: string; headers: IncomingMessage['headers']; body: string }>
  readonly server: Server
}

/** Starts a server; the body of a request has been read when `answer` is called. */
export async function httpServer(answer: RequestListener): Promise<HttpServer> {
  const requests: HttpServer['requests'] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    requests.push({ method: request.method ?? '', path: request.url ?? '', headers: request.headers, body })
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: new URL(`http://127.0.0.1:${port}`),
    requests,
    server,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }
}

import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { onTestFinished } from 'vitest'

/** What a TLS server saw of one request. */
export interface SeenRequest {
  /** The common name of the client's certificate; undefined when it showed none. */
  client: string | undefined
  path: string
  serverName: string | false | undefined
  authorization: string | undefined
}

/** A real server with TLS on loopback, which asks for a client certificate and writes down whether it got one. */
export async function tlsServer(
  options: ServerOptions,
  answer: (response: ServerResponse, request: IncomingMessage) => void = (response) => void response.end('ok')
): Promise<{ url: string; port: number; seen: SeenRequest[]; connections(): number; allClosed: Promise<void> }> {
  const seen: SeenRequest[] = []
  let connections = 0
  let open = 0
  const allClosed = Promise.withResolvers<void>()
  // Neither end closes an idle connection of itself: undici keeps it as long as the server says.
  const server = createServer(
    { requestCert: true, rejectUnauthorized: false, keepAliveTimeout: 600_000, ...options },
    (request, response) => {
      const socket = request.socket as TLSSocket
      const client = socket.getPeerCertificate().subject?.CN as string | undefined
      seen.push({
        client,
        path: request.url ?? '',
        serverName: (socket as TLSSocket & { servername?: string | false }).servername,
        authorization: request.headers.authorization
      })
      request.resume().on('end', () => answer(response, request))
    }
  )
  server.on('secureConnection', (socket) => {
    connections += 1
    open += 1
    socket.on('close', () => {
      open -= 1
      if (open === 0) allClosed.resolve()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `https://localhost:${port}/mcp`, port, seen, connections: () => connections, allClosed: allClosed.promise }
}

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createAuthority } from '../../packages/mtls/test/certificates.ts'

/** One request that arrived anywhere. */
export interface Arrival {
  /** The origin it was sent to, by its Host header and the scheme it came through. */
  origin: string
  path: string
  method: string
  rawHeaders: string[]
  body: string
}

/** The places of the redirect matrix: an MCP server in clear text and one with TLS, and where they redirect to. */
export interface RedirectingServers {
  /** Redirects as `redirectFrom` says, and answers 200 otherwise. */
  plain: string
  secure: string
  /** Another port of the same host. */
  otherPort: string
  ca: string
  arrivals: Arrival[]
  close(): Promise<void>
}

/** The URL at a server that answers with `status` and sends the client to `location`. */
export function redirectFrom(server: string, status: number, location: string): string {
  return `${server}?${new URLSearchParams({ status: String(status), location })}`
}

/** Starts the servers on loopback. All of them answer to 127.0.0.1 and to localhost. */
export async function startRedirectingServers(): Promise<RedirectingServers> {
  const arrivals: Arrival[] = []
  const authority = await createAuthority('redirects')
  const certificate = await authority.issue({ commonName: 'localhost', hosts: ['localhost', '127.0.0.1'] })
  const servers = [
    createServer(answer('http', arrivals)),
    createServer(answer('http', arrivals)),
    createSecureServer(certificate, answer('https', arrivals))
  ] as const
  const ports = await Promise.all(servers.map(listen))
  return {
    plain: `http://127.0.0.1:${ports[0]}/mcp`,
    otherPort: `http://127.0.0.1:${ports[1]}/mcp`,
    secure: `https://127.0.0.1:${ports[2]}/mcp`,
    ca: authority.cert,
    arrivals,
    close: async () => void (await Promise.all(servers.map(stop)))
  }
}

function answer(scheme: string, arrivals: Arrival[]) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', `${scheme}://${request.headers.host}`)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { method = '', rawHeaders } = request
    arrivals.push({ origin: url.origin, path: url.pathname, method, rawHeaders, body: Buffer.concat(chunks).toString() })
    const location = url.searchParams.get('location')
    if (location) response.writeHead(Number(url.searchParams.get('status')), { location }).end()
    else response.end('landed')
  }
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)))
}

function stop(server: Server): Promise<void> {
  server.closeAllConnections()
  return new Promise((resolve) => server.close(() => resolve()))
}

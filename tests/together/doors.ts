import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { McpAuthError } from '@mcpauth/core'
import { type NonceStore, type VerifiedSignature, type VerifyOptions, verifySignature } from '@mcpauth/rfc9421-signer'
import { headersOf, type WireRequest } from '../../packages/sigv4/test/reference-signature.ts'
import { type Handler, type Origin, type RecordedRequest, startOrigin } from '../servers/http-origin.ts'

/** An origin that lets nobody in without a client certificate of its authority. */
export interface TlsOrigin extends Origin {
  /** The names of the clients that came in. */
  readonly clients: Set<string>
}

export async function startTlsOrigin(tls: { cert: string; key: string; clientCa: string }): Promise<TlsOrigin> {
  const inner = await startOrigin()
  const clients = new Set<string>()
  const server = createServer(
    { cert: tls.cert, key: tls.key, ca: tls.clientCa, requestCert: true, rejectUnauthorized: true },
    (request, response) => {
      const { CN } = (request.socket as TLSSocket).getPeerCertificate().subject
      clients.add([CN].flat().join())
      forward(request, response, inner.url)
    }
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = new URL(`https://localhost:${(server.address() as AddressInfo).port}/`)
  async function close(): Promise<void> {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    await inner.close()
  }
  return { ...inner, url, clients, close, [Symbol.asyncDispose]: close }
}

/** An origin whose MCP endpoint takes only requests with a signature that holds; a nonce is good for once. */
export interface VerifyingOrigin extends Origin {
  readonly signatures: VerifiedSignature[]
  readonly refused: string[]
}

export async function startVerifyingOrigin(path: string, options: VerifyOptions): Promise<VerifyingOrigin> {
  const inner = await startOrigin()
  const signatures: VerifiedSignature[] = []
  const refused: string[] = []
  const seen = new Set<string>()
  const nonces: NonceStore = { add: (nonce) => !seen.has(nonce) && Boolean(seen.add(nonce)) }

  function mount(mounted: string, handler: Handler): void {
    async function verified(request: IncomingMessage, response: ServerResponse): Promise<void> {
      try {
        const url = new URL(request.url ?? '', inner.url)
        const message = { method: request.method ?? '', url: url.href, headers: request.rawHeaders }
        signatures.push(await verifySignature(message, { ...options, nonces }))
      } catch (error) {
        refused.push(McpAuthError.is(error) ? error.message : String(error))
        response.writeHead(400).end('the signature does not hold')
        return
      }
      await handler(request, response)
    }
    inner.mount(mounted, mounted === path ? verified : handler)
  }

  return { ...inner, mount, signatures, refused }
}

/** Passes a request on to another origin, and its answer back, as it comes. */
export function forward(request: IncomingMessage, response: ServerResponse, to: URL): void {
  const { host: _host, ...headers } = request.headers
  const target = httpRequest(new URL(request.url ?? '', to), { method: request.method ?? 'GET', headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    response.flushHeaders()
    answer.pipe(response)
  })
  target.on('error', () => response.destroy())
  response.on('close', () => target.destroy())
  request.pipe(target)
}

/** The same for a request whose body has been read. */
export function forwardWire(wire: WireRequest, response: ServerResponse, to: URL): void {
  const headers = Object.fromEntries([...headersOf(wire)].filter(([name]) => name !== 'host' && name !== 'connection'))
  const target = httpRequest(new URL(wire.url, to), { method: wire.method, headers: headers as Record<string, string[]> }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    response.flushHeaders()
    answer.pipe(response)
  })
  target.on('error', () => response.destroy())
  response.on('close', () => target.destroy())
  target.end(wire.body)
}

/** The values a header had, request by request. */
export function valuesOf(requests: readonly RecordedRequest[], name: string): unknown[] {
  return requests.map(({ headers }) => headers[name])
}

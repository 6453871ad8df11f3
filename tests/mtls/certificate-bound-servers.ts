import { createHash, randomBytes } from 'node:crypto'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { createLocalJWKSet, exportJWK, generateKeyPair, type JWTPayload, jwtVerify } from 'jose'
import { type Configuration, Provider } from 'oidc-provider'
import type { IssuedCertificate } from '../../packages/mtls/test/certificates.ts'
import { mapAdapter } from '../servers/map-adapter.ts'

/** One request and the common name of the certificate that came with it. */
export interface Visit {
  path: string
  client: string | undefined
}

/** An authorization server that binds tokens to client certificates (RFC 8705), and an MCP server that insists on it, all with TLS. */
export interface CertificateBoundServers {
  /** The MCP server. */
  url: string
  issuer: string
  /** Where the authorization server takes certificates (RFC 8705 §5). */
  aliasOrigin: string
  atMcpServer: Visit[]
  atIssuer: Visit[]
  atAlias: Visit[]
  /** The MCP server answers 401 to every token issued before. */
  expire(): void
  close(): void
}

/** The `client_id` of the one client: it proves itself with its certificate and has no secret. */
export const clientId = 'robot'

export async function startCertificateBoundServers(certificate: IssuedCertificate, clientCa: string): Promise<CertificateBoundServers> {
  const visits = { mcp: [] as Visit[], issuer: [] as Visit[], alias: [] as Visit[] }
  const handlers: Record<keyof typeof visits, RequestListener> = { mcp: notYet, issuer: notYet, alias: notYet }
  // Every server asks for a certificate, so that each can tell whether it was shown one.
  const servers = (Object.keys(visits) as Array<keyof typeof visits>).map((name) =>
    createServer({ ...certificate, ca: clientCa, requestCert: true, rejectUnauthorized: false }, (request, response) => {
      visits[name].push({ path: request.url ?? '', client: certificateOf(request)?.subject.CN as string | undefined })
      handlers[name](request, response)
    })
  )
  const [mcpOrigin, issuer, aliasOrigin] = (await Promise.all(servers.map(listen))) as [string, string, string]
  const keys = await generateKeyPair('ES256', { extractable: true })
  const privateJwk = { ...(await exportJWK(keys.privateKey)), alg: 'ES256', use: 'sig', kid: 'one' }
  const url = `${mcpOrigin}/mcp`

  let issued = 0
  let expiredUpTo = 0
  const provider = new Provider(
    issuer,
    configuration(aliasOrigin, privateJwk, () => ++issued)
  )
  handlers.issuer = (request, response) => {
    if (request.url?.startsWith('/.well-known/')) request.url = '/.well-known/openid-configuration'
    void provider.callback()(request, response)
  }
  handlers.alias = (request, response) => void provider.callback()(request, response)

  const keySet = createLocalJWKSet({ keys: [{ ...(await exportJWK(keys.publicKey)), alg: 'ES256', kid: 'one' }] })
  const metadata = { resource: url, authorization_servers: [issuer], scopes_supported: ['mcp:tools'] }
  handlers.mcp = async (request, response) => {
    if (request.url?.startsWith('/.well-known/oauth-protected-resource')) return void sendJson(response, 200, metadata)
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    const verified = token && (await jwtVerify(token, keySet, { issuer, audience: url }).catch(() => undefined))
    const refused = !verified || Number(verified.payload.sequence) <= expiredUpTo || !isBoundTo(verified.payload, request)
    if (refused) {
      const challenge = `Bearer resource_metadata="${mcpOrigin}/.well-known/oauth-protected-resource/mcp"${token ? ', error="invalid_token"' : ''}`
      return void sendJson(response, 401, {}, { 'www-authenticate': challenge })
    }
    await serveMcp(request, response)
  }

  return {
    url,
    issuer,
    aliasOrigin,
    atMcpServer: visits.mcp,
    atIssuer: visits.issuer,
    atAlias: visits.alias,
    expire() {
      expiredUpTo = issued
    },
    close() {
      for (const server of servers) {
        server.closeAllConnections()
        server.close()
      }
    }
  }
}

function configuration(aliasOrigin: string, privateJwk: object, sequence: () => number): Configuration {
  return {
    adapter: mapAdapter({ graceMs: 0 }),
    jwks: { keys: [privateJwk] },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    scopes: ['mcp:tools'],
    clientAuthMethods: ['tls_client_auth', 'none'],
    discovery: { mtls_endpoint_aliases: { token_endpoint: `${aliasOrigin}/token` } },
    clients: [
      {
        client_id: clientId,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: 'tls_client_auth',
        tls_client_auth_subject_dn: 'CN=robot',
        tls_client_certificate_bound_access_tokens: true,
        id_token_signed_response_alg: 'ES256'
      }
    ],
    extraTokenClaims: () => ({ sequence: sequence() }),
    ttl: { ClientCredentials: 600 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_: unknown, resource: string) => ({
          audience: resource,
          scope: 'mcp:tools',
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } }
        })
      },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        tlsClientAuth: true,
        getCertificate: ({ req }: { req: IncomingMessage }) => pemOf(req),
        certificateAuthorized: ({ req }: { req: IncomingMessage }) => (req.socket as TLSSocket).authorized,
        certificateSubjectMatches: ({ req }: { req: IncomingMessage }, _property: string, expected: string) =>
          `CN=${certificateOf(req)?.subject.CN}` === expected
      }
    }
  } as unknown as Configuration
}

/** RFC 8705 §3.1. */
function isBoundTo(payload: JWTPayload, request: IncomingMessage): boolean {
  const certificate = certificateOf(request)
  const thumbprint = certificate && createHash('sha256').update(certificate.raw).digest('base64url')
  return thumbprint !== undefined && (payload.cnf as Record<string, unknown> | undefined)?.['x5t#S256'] === thumbprint
}

function certificateOf(request: IncomingMessage): ReturnType<TLSSocket['getPeerCertificate']> | undefined {
  const certificate = (request.socket as TLSSocket).getPeerCertificate()
  return certificate.subject ? certificate : undefined
}

function pemOf(request: IncomingMessage): string | undefined {
  const certificate = certificateOf(request)
  return certificate && `-----BEGIN CERTIFICATE-----\n${certificate.raw.toString('base64')}\n-----END CERTIFICATE-----\n`
}

/** One MCP server for each request: stateless. */
async function serveMcp(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const server = new McpServer({ name: 'bound', version: '1.0.0' })
  server.registerTool('hello', { description: 'Says hello' }, () => ({ content: [{ type: 'text', text: 'hello' }] }))
  const transport = new StreamableHTTPServerTransport()
  await server.connect(transport as Transport)
  await transport.handleRequest(request, response)
}

function sendJson(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

function notYet(_: IncomingMessage, response: ServerResponse): void {
  response.writeHead(503).end()
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve(`https://localhost:${(server.address() as AddressInfo).port}`))
  )
}

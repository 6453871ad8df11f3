import type { IncomingMessage, ServerResponse } from 'node:http'
import { createRemoteJWKSet, type JWTPayload, jwtVerify } from 'jose'
import { type Origin, readBody, sendJson } from './http-origin.ts'

/** What a protected MCP server needs to know of its authorization server. */
export interface TokenIssuer {
  readonly issuer: string
  readonly issuedTokens: number
}

export interface ProtectionOptions {
  /** The server takes JWT access tokens of this authorization server, issued for it. */
  authorizationServer?: TokenIssuer
  /** The server takes exactly this token instead. */
  bearerToken?: string
  /** Headers that must be there with these values (403 otherwise). Lower-case names. */
  requiredHeaders?: Record<string, string>
  /** `scopes_supported` of its metadata. @default ['mcp:tools'] */
  scopesSupported?: readonly string[]
  /** `scope` of its 401 challenges. @default absent */
  challengeScope?: string
  /** Tools that need a scope, answered with 403 `insufficient_scope` where it is missing. @default { admin: 'mcp:admin' } */
  toolScopes?: Record<string, string>
}

/** The places at which a server can refuse for ever: a method of Streamable HTTP, or the legacy transport's stream. */
export type Place = 'POST' | 'GET' | 'DELETE' | 'SSE'

/** The caller, as the MCP SDKs hand it to a tool. */
export interface Caller {
  token: string
  clientId: string
  scopes: string[]
  extra: { sub: string }
}

/** The part of an MCP server that decides who may come in, with its switches. */
export interface ProtectedResource {
  /** How many requests were answered with 401, per place. */
  readonly refusals: Record<Place, number>
  /** From now on answers 401 to every token issued before. */
  expire(): void
  /** From now on answers 401 to everything at these places, until `admit()`. */
  refuse(...places: Place[]): void
  admit(): void
  /** The next 401s to POSTs are sent only once the promise has settled: they arrive late. */
  holdRefusals(until: Promise<unknown>, times?: number): void
  /** From now on answers with a redirect; undefined switches it off. */
  redirect(to: { status: number; url: string | URL } | undefined): void
}

/** A request that may go on, its body read. */
export interface Admitted {
  caller: Caller | undefined
  body: unknown
}

export interface Gate extends ProtectedResource {
  /** Lets a request through, or answers it and returns undefined. */
  enter(request: IncomingMessage, response: ServerResponse, place: Place, resourcePath: string): Promise<Admitted | undefined>
}

/** Puts the gate and the metadata (RFC 9728) of every resource path on an origin. */
export function protect(origin: Origin, resourcePaths: readonly string[], options: ProtectionOptions): Gate {
  const { authorizationServer, toolScopes = { admin: 'mcp:admin' }, scopesSupported = ['mcp:tools'] } = options
  const keys = authorizationServer && createRemoteJWKSet(new URL('/jwks', authorizationServer.issuer))
  const refusals: Record<Place, number> = { POST: 0, GET: 0, DELETE: 0, SSE: 0 }
  const refusing = new Set<Place>()
  let expiredUpTo = 0
  let held: { until: Promise<unknown>; left: number } | undefined
  let redirection: { status: number; url: string | URL } | undefined

  const resource = (path: string): string => new URL(path, origin.url).href
  const metadataUrl = (path: string): string => resource(`/.well-known/oauth-protected-resource${path}`)

  if (authorizationServer) {
    for (const path of resourcePaths) {
      origin.mount(new URL(metadataUrl(path)).pathname, (_, response) =>
        sendJson(response, 200, {
          resource: resource(path),
          authorization_servers: [authorizationServer.issuer],
          scopes_supported: scopesSupported,
          bearer_methods_supported: ['header']
        })
      )
    }
  }

  function challenge(path: string, parameters: Record<string, string>): Record<string, string> {
    const all = { ...parameters, ...(authorizationServer ? { resource_metadata: metadataUrl(path) } : {}) }
    const text = Object.entries(all).map(([name, value]) => `${name}="${value}"`)
    return { 'www-authenticate': text.length === 0 ? 'Bearer' : `Bearer ${text.join(', ')}` }
  }

  async function deny(response: ServerResponse, place: Place, path: string, reason?: string): Promise<undefined> {
    refusals[place] += 1
    if (place === 'POST' && held && held.left > 0) {
      held.left -= 1
      await held.until
    }
    const parameters = {
      ...(reason === undefined ? {} : { error: 'invalid_token', error_description: reason }),
      ...(options.challengeScope === undefined ? {} : { scope: options.challengeScope })
    }
    sendJson(response, 401, { error: 'invalid_token', error_description: reason ?? 'no token' }, challenge(path, parameters))
  }

  async function verify(token: string, path: string): Promise<Caller | string> {
    if (options.bearerToken !== undefined) {
      return token === options.bearerToken ? { token, clientId: 'static', scopes: [], extra: { sub: 'static' } } : 'unknown token'
    }
    if (!keys || !authorizationServer) return 'unknown token'
    try {
      const { payload } = await jwtVerify(token, keys, { issuer: authorizationServer.issuer, audience: resource(path), typ: 'at+jwt' })
      return Number(payload.sequence) > expiredUpTo ? callerOf(token, payload) : 'expired by the test'
    } catch (error) {
      return error instanceof Error ? error.message.replaceAll('"', "'") : 'invalid'
    }
  }

  async function enter(request: IncomingMessage, response: ServerResponse, place: Place, path: string): Promise<Admitted | undefined> {
    const body = request.method === 'POST' ? parse(await readBody(request)) : undefined
    if (redirection) return void response.writeHead(redirection.status, { location: String(redirection.url) }).end()
    if (refusing.has(place)) return deny(response, place, path, 'refused by the test')
    for (const [name, value] of Object.entries(options.requiredHeaders ?? {})) {
      if (request.headers[name] !== value) return void sendJson(response, 403, { error: `the header ${name} is missing or wrong` })
    }
    if (!authorizationServer && options.bearerToken === undefined) return { caller: undefined, body }

    const token = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
    if (token === undefined) return deny(response, place, path)
    const caller = await verify(token, path)
    if (typeof caller === 'string') return deny(response, place, path, caller)

    const scope = toolScopes[calledTool(body) ?? '']
    if (scope !== undefined && authorizationServer && !caller.scopes.includes(scope)) {
      const headers = challenge(path, { error: 'insufficient_scope', scope })
      return void sendJson(response, 403, { error: 'insufficient_scope' }, headers)
    }
    return { caller, body }
  }

  return {
    refusals,
    enter,
    expire() {
      expiredUpTo = authorizationServer?.issuedTokens ?? 0
    },
    refuse: (...places) => places.forEach((place) => void refusing.add(place)),
    admit: () => refusing.clear(),
    holdRefusals(until, times = 1) {
      held = { until, left: times }
    },
    redirect(to) {
      redirection = to
    }
  }
}

function callerOf(token: string, payload: JWTPayload): Caller {
  const scopes = typeof payload.scope === 'string' ? payload.scope.split(' ') : []
  return { token, clientId: String(payload.client_id), scopes, extra: { sub: String(payload.sub) } }
}

function calledTool(body: unknown): string | undefined {
  const message = body as { method?: string; params?: { name?: string } } | undefined
  return message?.method === 'tools/call' ? message.params?.name : undefined
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type AuthFetch, authFetch, type TokenStore } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'
import { type OAuthOptions, type OAuthTokens, oauthTokens, withOAuth } from '../src/index.ts'
import type { Login } from '../src/login.ts'

/** One request as it came in. */
export interface Seen {
  method: string
  path: string
  url: URL
  headers: IncomingMessage['headers']
  body: string
  form: URLSearchParams
}

export interface Answer {
  status?: number
  headers?: Record<string, string | string[]>
  body?: unknown
}

/** Answers a request in place of the server's own way; undefined leaves it to the server. 'drop' closes the socket. */
export type Override = (seen: Seen) => Answer | 'drop' | 'hang' | undefined | Promise<Answer | 'drop' | undefined>

export interface SmallServer extends AsyncDisposable {
  origin: string
  seen: Seen[]
  at(path: string): Seen[]
  /** By path. */
  overrides: Map<string, Override>
}

type Respond = (seen: Seen) => Answer | undefined

async function serve(respond: Respond): Promise<SmallServer> {
  const seen: Seen[] = []
  const overrides = new Map<string, Override>()
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => void answer(request, response, Buffer.concat(chunks).toString()))
  })

  async function answer(request: IncomingMessage, response: ServerResponse, body: string): Promise<void> {
    const url = new URL(request.url as string, origin)
    const entry: Seen = {
      method: request.method as string,
      path: url.pathname,
      url,
      headers: request.headers,
      body,
      form: new URLSearchParams(body)
    }
    seen.push(entry)
    const overridden = await overrides.get(url.pathname)?.(entry)
    if (overridden === 'hang') return
    if (overridden === 'drop') return void request.socket.destroy()
    const { status = 200, headers = {}, body: out } = overridden ?? respond(entry) ?? { status: 404 }
    response.writeHead(status, { ...(typeof out === 'object' ? { 'content-type': 'application/json' } : {}), ...headers })
    response.end(out === undefined ? '' : typeof out === 'object' ? JSON.stringify(out) : String(out))
  }

  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    origin,
    seen,
    overrides,
    at: (path) => seen.filter((entry) => entry.path === path),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    }
  }
}

/** A small authorization server: strict about PKCE, rotation and reuse, and otherwise whatever a test makes of it. */
export interface SmallAuthorizationServer extends SmallServer {
  metadata: Record<string, unknown>
  /** What a token answer holds beside the tokens. */
  tokenFields: Record<string, unknown>
  /** Access tokens that are good. */
  live: Set<string>
  /** The scope of each access token, as asked for. */
  scopes: Map<string, string>
  /** Refresh tokens that were sent twice. */
  reused: number
  grants: number
  refreshes: number
}

export async function authorizationServer(): Promise<SmallAuthorizationServer> {
  const codes = new Map<string, { challenge: string; scope: string }>()
  const refreshTokens = new Map<string, string>()
  const spent = new Set<string>()
  const routes: Record<string, Respond> = {
    '/.well-known/oauth-authorization-server': () => ({ body: self.metadata }),
    '/register': ({ body }) => ({ status: 201, body: { ...JSON.parse(body), client_id: `client-${randomUUID()}` } }),
    '/authorize': authorize,
    '/token': token,
    '/revoke': () => ({ status: 200 })
  }

  function authorize({ url }: Seen): Answer {
    const query = url.searchParams
    const code = `code-${randomUUID()}`
    codes.set(code, { challenge: query.get('code_challenge') ?? '', scope: query.get('scope') ?? '' })
    const back = new URL(query.get('redirect_uri') as string)
    back.searchParams.set('code', code)
    back.searchParams.set('state', query.get('state') ?? '')
    return { status: 302, headers: { location: back.href } }
  }

  function token({ form }: Seen): Answer {
    switch (form.get('grant_type')) {
      case 'authorization_code': {
        const grant = codes.get(form.get('code') ?? '')
        const challenge = createHash('sha256')
          .update(form.get('code_verifier') ?? '')
          .digest('base64url')
        if (!grant || grant.challenge !== challenge) return { status: 400, body: { error: 'invalid_grant' } }
        return issue(grant.scope)
      }
      case 'refresh_token': {
        const old = form.get('refresh_token') ?? ''
        if (spent.has(old)) self.reused += 1
        const scope = refreshTokens.get(old)
        if (scope === undefined) return { status: 400, body: { error: 'invalid_grant' } }
        refreshTokens.delete(old)
        spent.add(old)
        self.refreshes += 1
        return issue(scope)
      }
      default:
        return issue(form.get('scope') ?? '')
    }
  }

  function issue(scope: string): Answer {
    const access = `access-${randomUUID()}`
    const refresh = `refresh-${randomUUID()}`
    self.live.add(access)
    self.scopes.set(access, scope)
    refreshTokens.set(refresh, scope)
    self.grants += 1
    return { body: { access_token: access, token_type: 'Bearer', refresh_token: refresh, expires_in: 600, scope, ...self.tokenFields } }
  }

  const base = await serve((seen) => routes[seen.path]?.(seen))
  const { origin } = base
  const self: SmallAuthorizationServer = Object.assign(base, {
    metadata: {
      issuer: origin,
      authorization_endpoint: `${origin}/authorize`,
      token_endpoint: `${origin}/token`,
      registration_endpoint: `${origin}/register`,
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['none', 'client_secret_basic', 'client_secret_post']
    },
    tokenFields: {},
    live: new Set<string>(),
    scopes: new Map<string, string>(),
    reused: 0,
    grants: 0,
    refreshes: 0
  })
  return self
}

/** A protected resource at /mcp: 401 until it sees a token that its authorization server holds good. */
export interface SmallResource extends SmallServer {
  url: string
  metadata: Record<string, unknown>
  challenge: string | undefined
}

export async function resourceServer(as: { origin: string; live: Set<string> }, path = '/mcp'): Promise<SmallResource> {
  const base = await serve((seen) => {
    if (seen.path === `/.well-known/oauth-protected-resource${path}`) return { body: self.metadata }
    if (seen.path !== path) return undefined
    const token = seen.headers.authorization?.replace(/^(Bearer|DPoP) /, '') ?? ''
    if (as.live.has(token)) return { body: { ok: true } }
    return { status: 401, headers: self.challenge === undefined ? {} : { 'www-authenticate': self.challenge } }
  })
  const url = `${base.origin}${path}`
  const self: SmallResource = Object.assign(base, {
    url,
    metadata: { resource: url, authorization_servers: [as.origin] },
    challenge: `Bearer resource_metadata="${base.origin}/.well-known/oauth-protected-resource${path}"`
  })
  return self
}

/** A person who approves everything, without a browser. */
export function approving(change: (answer: URLSearchParams) => void = () => undefined): Login & { asked: URL[] } {
  const asked: URL[] = []
  const login: Login = async () => ({
    redirectUri: 'http://127.0.0.1:9/callback',
    ask: async (url) => {
      asked.push(url)
      const response = await fetch(url, { redirect: 'manual' })
      const answer = new URL(response.headers.get('location') as string).searchParams
      change(answer)
      return answer
    }
  })
  return Object.assign(login, { asked })
}

/** An authorization server, a resource of it, and a client, all new. */
export interface Scene extends AsyncDisposable {
  as: SmallAuthorizationServer
  mcp: SmallResource
  login: ReturnType<typeof approving>
  store: TokenStore
  /** Tokens made with the scene's login and store, and what a test adds. */
  tokensWith(options?: OAuthOptions): OAuthTokens
  fetchWith(options?: OAuthOptions | OAuthTokens): AuthFetch
  /** Sends a request the way an MCP client does. */
  post(fetch: AuthFetch): Promise<number>
}

export async function scene(change?: (answer: URLSearchParams) => void): Promise<Scene> {
  const as = await authorizationServer()
  const mcp = await resourceServer(as)
  const login = approving(change)
  const store = memoryStore()
  const fetches: AuthFetch[] = []
  const defaults = (options: OAuthOptions): OAuthOptions => ({ store, ...(options.grant ? {} : { login }), ...options })
  return {
    as,
    mcp,
    login,
    store,
    tokensWith: (options = {}) => oauthTokens(mcp.url, defaults(options)),
    fetchWith: (options = {}) => {
      const made = authFetch(withOAuth(mcp.url, 'renew' in options ? options : defaults(options)))
      fetches.push(made)
      return made
    },
    post: async (fetch) => {
      const response = await fetch(mcp.url, { method: 'POST', body: '{"jsonrpc":"2.0"}' })
      await response.text()
      return response.status
    },
    [Symbol.asyncDispose]: async () => {
      for (const made of fetches) await made[Symbol.asyncDispose]()
      await mcp[Symbol.asyncDispose]()
      await as[Symbol.asyncDispose]()
    }
  }
}

/** The key under which a scene's tokens are stored. */
export function keyOf(mcp: { url: string }): { kind: 'server'; url: string } {
  return { kind: 'server', url: mcp.url }
}

/** The resource wants `scope` in a token from now on. */
export function demand({ as, mcp }: Scene, scope: string): void {
  mcp.overrides.set('/mcp', ({ headers }) => {
    const token = headers.authorization?.replace('Bearer ', '') ?? ''
    const words = as.scopes.get(token)?.split(' ')
    if (!words || scope.split(' ').every((word) => words.includes(word))) return undefined
    return { status: 403, headers: { 'www-authenticate': `Bearer error="insufficient_scope", scope="${scope}"` } }
  })
}

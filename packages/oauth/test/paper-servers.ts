import { type AccessToken, fetchDispatcher, type Refusal, type TokenRecord, type TokenStore } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'
import { expect } from 'vitest'
import type { AuthorizationContext } from '../src/authorization-context.ts'
import { dpopNonces } from '../src/dpop.ts'
import { dpopProofs } from '../src/dpop-proofs.ts'
import type { Grant } from '../src/grants/grant.ts'
import { type OAuthTokens, oauthTokens } from '../src/index.ts'
import type { Login } from '../src/login.ts'
import { checkOptions, type OAuthOptions } from '../src/options.ts'

/** A server and its authorization server that exist on paper only: nothing of them is on the wire, so that a thousand of them cost nothing. */
export const paper = {
  mcp: 'https://mcp.example.com/mcp',
  issuer: 'https://as.example.com',
  key: { kind: 'server', url: 'https://mcp.example.com/mcp' } as const
}

/** One request to the authorization server. */
export interface Asked {
  url: string
  form: URLSearchParams
}

/** How a request is answered; undefined: in the server's own way. */
export type PaperAnswer = (asked: Asked) => Response | undefined | Promise<Response | undefined>

/** What the two servers publish, by URL. */
function paperDocuments(metadata: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    'https://mcp.example.com/.well-known/oauth-protected-resource/mcp': { resource: paper.mcp, authorization_servers: [paper.issuer] },
    [`${paper.issuer}/.well-known/oauth-authorization-server`]: {
      issuer: paper.issuer,
      authorization_endpoint: `${paper.issuer}/authorize`,
      token_endpoint: `${paper.issuer}/token`,
      registration_endpoint: `${paper.issuer}/register`,
      code_challenge_methods_supported: ['S256'],
      ...metadata
    }
  }
}

/** What they do with a request: the resource refuses it, the authorization server registers everybody and issues a new pair of tokens each time. */
function paperEndpoints(answer: PaperAnswer): { asked: Asked[]; respond(url: URL, body: string): Promise<Response> } {
  const asked: Asked[] = []
  let clients = 0
  return {
    asked,
    async respond(url, body) {
      const request = { url: url.href, form: new URLSearchParams(body) }
      asked.push(request)
      const given = await answer(request)
      if (given) return given
      if (url.href === paper.mcp) return new Response(null, { status: 401, headers: { 'www-authenticate': 'Bearer' } })
      if (url.pathname === '/register') {
        clients += 1
        return Response.json({ ...JSON.parse(body), client_id: `client-${clients}` }, { status: 201 })
      }
      return Response.json({ access_token: `access-${asked.length}`, refresh_token: `refresh-${asked.length}`, token_type: 'bearer' })
    }
  }
}

/** @param metadata What the authorization server says of itself beside or in place of the usual; undefined: what it does not say. */
export function paperContext(
  options: OAuthOptions = {},
  answer: PaperAnswer = () => undefined,
  metadata: Readonly<Record<string, unknown>> = {}
): AuthorizationContext & { asked: Asked[] } {
  const settings = checkOptions(paper.mcp, { store: memoryStore(), env: {}, ...options })
  const documents = paperDocuments(metadata)
  const { asked, respond } = paperEndpoints(answer)
  const network: AuthorizationContext['network'] = {
    readMetadata: async (url) => structuredClone(documents[url.href]),
    send: (url, _what, { body = '' }) => respond(url, body)
  }
  return {
    settings,
    discovery: { server: settings.server, network, guard: { checkUrl: () => undefined } },
    network,
    networkFrom: () => expect.unreachable(),
    proofs: dpopProofs(dpopNonces(), settings.now),
    asked
  }
}

/** A token source between the two servers. */
export interface PaperSource {
  tokens: OAuthTokens
  store: TokenStore
  /** How often the tokens were read and locked. */
  counts: { reads: number; locks: number }
  clock: { ms: number }
  /** The documents that can be had. */
  documents: Record<string, unknown>
  /** What was asked for beside documents. */
  asked: Asked[]
  /** The tokens that were asked for. */
  tokenRequests(): URLSearchParams[]
  /** The URLs that a person was sent to. */
  visited: URL[]
  stored(): Promise<TokenRecord | undefined>
  /** What another process writes. */
  put(record: TokenRecord): Promise<void>
  /** Tells the source that the resource has refused a token. */
  refuse(token: AccessToken | undefined, refusal?: Partial<Refusal>, waiter?: AbortSignal): Promise<AccessToken>
}

/** How a source is made: a person approves everything unless the options say otherwise. */
export function paperSource(options: OAuthOptions = {}, answer: PaperAnswer = () => undefined): PaperSource {
  const clock = { ms: 1_700_000_000_000 }
  const counts = { reads: 0, locks: 0 }
  const documents = paperDocuments()
  const visited: URL[] = []
  const { asked, respond } = paperEndpoints(answer)
  const { store = memoryStore(), ...more } = options
  const login: Login = async () => ({
    redirectUri: 'http://127.0.0.1:9/callback',
    ask: async (url, state) => {
      visited.push(url)
      return new URLSearchParams({ code: 'the-code', state })
    }
  })
  const dispatcher = fetchDispatcher(async (url, init) => {
    if (init?.method === 'POST') return await respond(new URL(url), await new Response(init.body).text())
    const document = documents[String(url)]
    return document === undefined ? new Response(null, { status: 404 }) : Response.json(document)
  })
  const counting: TokenStore = {
    ...store,
    read: (key) => {
      if (key.kind === 'server') counts.reads += 1
      return store.read(key)
    },
    transact: (key, work, limits) => {
      if (key.kind === 'server') counts.locks += 1
      return store.transact(key, work, limits)
    }
  }
  const ways = 'grant' in more || 'login' in more ? {} : { login }
  const tokens = oauthTokens(paper.mcp, { store: counting, dispatcher, env: {}, now: () => clock.ms, ...ways, ...more })
  return {
    tokens,
    store,
    counts,
    clock,
    documents,
    asked,
    tokenRequests: () => asked.filter(({ url }) => url === `${paper.issuer}/token`).map(({ form }) => form),
    visited,
    stored: () => store.read(paper.key),
    put: (record) => store.transact(paper.key, (held) => held.write(record), { deadlineMs: 1_000 }),
    refuse: (token, refusal = {}, waiter) =>
      tokens.renew(
        {
          status: 401,
          cause: 'token',
          challenges: [],
          token,
          accepted: false,
          request: { method: 'POST', url: new URL(paper.mcp) },
          headers: {},
          ...refusal
        },
        waiter
      )
  }
}

/** What a test adds to a record; undefined leaves a field out. */
export type RecordChange = { [name in 'access_token' | 'refresh_token' | 'scope' | 'seed']?: string | undefined } & {
  [name in 'generation' | 'expires_at_unix' | 'lifetime']?: number | undefined
}

/** A record whose tokens came from the paper authorization server. */
export function paperRecord(more: RecordChange = {}): TokenRecord {
  return {
    version: 1,
    access_token: 'stored-access',
    refresh_token: 'stored-refresh',
    token_type: 'Bearer',
    generation: 1,
    issuer: paper.issuer,
    token_endpoint: `${paper.issuer}/token`,
    resource: paper.mcp,
    client: { client_id: 'stored-client', token_endpoint_auth_method: 'none' },
    ...more
  } as TokenRecord
}

interface SlowPerson {
  login: Login
  asked: Promise<void>
  signals: (AbortSignal | undefined)[]
  approve: () => void
  refuse: () => void
}

/** A person who is not done until the test says so. */
export function slowPerson(): SlowPerson {
  const asked = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<Record<string, string>>()
  const signals: (AbortSignal | undefined)[] = []
  return {
    asked: asked.promise,
    approve: () => answer.resolve({ code: 'the-code' }),
    refuse: () => answer.resolve({ error: 'access_denied' }),
    signals,
    login: async () => ({
      redirectUri: 'http://127.0.0.1:9/callback',
      ask: async (_url, state, signal) => {
        signals.push(signal)
        asked.resolve()
        return new URLSearchParams({ ...(await answer.promise), state })
      }
    })
  }
}

/** A grant that does as it is told, and counts. */
export function paperGrant(run: () => Promise<unknown>, properties: Partial<Grant> = {}): Grant & { times: number } {
  const grant = Object.assign(
    async () => {
      grant.times += 1
      const more = await run()
      return { access_token: `granted-${grant.times}`, token_type: 'bearer', ...(more as object | undefined) } as never
    },
    { grantType: 'client_credentials', times: 0, ...properties }
  )
  return grant
}

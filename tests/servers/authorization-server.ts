import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { exportJWK, generateKeyPair } from 'jose'
import {
  type AdapterFactory,
  type AllClientMetadata,
  type ClientAuthMethod,
  type Configuration,
  type Interaction,
  Provider
} from 'oidc-provider'
import { type ActiveFault, createFaults, type Fault } from './faults.ts'
import { type RecordedRequest, readBody, startOrigin } from './http-origin.ts'
import { keepLedger, type Ledger } from './ledger.ts'
import { mapAdapter } from './map-adapter.ts'
import { consentPage, page } from './pages.ts'
import { approve, type Visit } from './scripted-user.ts'

/** Where faults can be switched on. */
export type Endpoint = 'authorization' | 'device' | 'jwks' | 'metadata' | 'par' | 'registration' | 'revocation' | 'token'

export interface AuthorizationServerOptions {
  /** Of access tokens. @default 600 */
  accessTokenTtlSeconds?: number
  /** What resources may ask for. @default ['mcp:tools', 'mcp:admin'] */
  scopes?: readonly string[]
  /** Clients registered beforehand. */
  clients?: readonly AllClientMetadata[]
  /** Dynamic client registration. @default true */
  registration?: boolean
  /** A new refresh token with every refresh, reuse revokes the grant. @default true */
  rotation?: boolean
  /** How long a rotated refresh token may still be used. @default 0 */
  graceMs?: number
  /** @default true */
  revocation?: boolean
  deviceFlow?: boolean
  clientCredentials?: boolean
  introspection?: boolean
  /** `nonce` also demands the server's nonce in every proof. */
  dpop?: boolean | 'nonce'
  /** Pushed authorization requests. */
  par?: boolean | 'required'
  /** Client ID metadata documents, as if each were hosted at its URL. */
  clientIdMetadataDocuments?: readonly Record<string, unknown>[]
  /** Elsewhere than where the provider has them. @default { registration: '/reg', token: '/token' } */
  routes?: { readonly registration?: string; readonly token?: string }
  /** How clients may prove who they are; one that registers without a wish gets the first. @default what the provider supports, and none */
  clientAuthMethods?: readonly ClientAuthMethod[]
  /** Says another thing in the metadata; undefined takes a field out. */
  metadata?: Record<string, unknown>
}

/** A real authorization server that is a strict judge: it rotates refresh tokens and revokes the whole grant when one is used twice. */
export interface AuthorizationServer extends AsyncDisposable {
  readonly issuer: string
  readonly ledger: Ledger
  readonly requests: readonly RecordedRequest[]
  /** How many access tokens it has issued. Each carries its number as the claim `sequence`. */
  readonly issuedTokens: number
  /** Of tokens issued from now on. */
  accessTokenTtlSeconds: number
  /** A person: opens the authorization URL (or a device's verification URL), allows, and returns to the client. */
  approve(authorizationUrl: string | URL, visit?: Visit): Promise<URL>
  /** From now on no client that has registered is known. */
  forgetClients(): void
  fault(endpoint: Endpoint, fault: Fault, options?: { times?: number }): ActiveFault
  /** Ends every connection and listens again; what was issued stays valid. */
  restart(): Promise<void>
}

/** What is where: see `routes`. */
function endpointsOf({ routes: { registration = '/reg', token = '/token' } = {} }: AuthorizationServerOptions): Record<string, Endpoint> {
  return {
    '/.well-known/oauth-authorization-server': 'metadata',
    '/.well-known/openid-configuration': 'metadata',
    '/auth': 'authorization',
    '/device/auth': 'device',
    '/jwks': 'jwks',
    [registration]: 'registration',
    '/request': 'par',
    [token]: 'token',
    '/token/revocation': 'revocation'
  }
}

export async function startAuthorizationServer(options: AuthorizationServerOptions = {}): Promise<AuthorizationServer> {
  const origin = await startOrigin()
  const endpoints = endpointsOf(options)
  const state = { accessTokenTtlSeconds: options.accessTokenTtlSeconds ?? 600, issuedTokens: 0 }
  const adapter = mapAdapter({ graceMs: options.graceMs ?? 0 })
  const provider = new Provider(origin.url.origin, await configuration(options, state, adapter))
  const ledger = keepLedger(provider)
  const faults = createFaults<Endpoint>()
  const run = provider.callback()

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url as string, origin.url)
    if (pathname === '/token/revocation') ledger.revocations += 1
    if (pathname.startsWith('/interaction/')) return interact(provider, request, response)
    if (endpoints[pathname] === 'metadata') {
      request.url = '/.well-known/openid-configuration'
      if (options.metadata) rewriteJson(response, options.metadata)
    }
    await run(request, response)
  }

  origin.mount('/', (request, response) => {
    const endpoint = endpoints[(request.url as string).split('?')[0] as string]
    return faults.guard(endpoint, serve)(request, response)
  })

  return {
    issuer: provider.issuer,
    ledger,
    requests: origin.requests,
    get issuedTokens() {
      return state.issuedTokens
    },
    get accessTokenTtlSeconds() {
      return state.accessTokenTtlSeconds
    },
    set accessTokenTtlSeconds(seconds) {
      state.accessTokenTtlSeconds = seconds
    },
    approve,
    forgetClients: adapter.forgetClients,
    fault: faults.set,
    restart: origin.restart,
    [Symbol.asyncDispose]: origin.close
  }
}

async function configuration(
  options: AuthorizationServerOptions,
  state: { accessTokenTtlSeconds: number; issuedTokens: number },
  adapter: AdapterFactory
): Promise<Configuration> {
  const { scopes = ['mcp:tools', 'mcp:admin'], registration = true, rotation = true, revocation = true, clientAuthMethods } = options
  const { clientIdMetadataDocuments: documents } = options
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const ttl = (): number => state.accessTokenTtlSeconds
  const day = 24 * 60 * 60
  return {
    adapter,
    clients: [...(options.clients ?? [])],
    // Without a key of its own the provider uses a published one and warns.
    jwks: { keys: [{ ...(await exportJWK(privateKey)), use: 'sig', alg: 'ES256' }] },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    clientDefaults: {
      id_token_signed_response_alg: 'ES256',
      ...(clientAuthMethods ? { token_endpoint_auth_method: clientAuthMethods[0] } : {})
    },
    ...(clientAuthMethods ? { clientAuthMethods: [...clientAuthMethods] } : {}),
    routes: { ...options.routes },
    scopes: ['openid', 'offline_access', ...scopes],
    pkce: { required: () => true },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    // The default demands offline_access and ends refresh tokens with the browser's session.
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    expiresWithSession: () => false,
    rotateRefreshToken: () => rotation,
    extraTokenClaims: () => ({ sequence: ++state.issuedTokens }),
    clientBasedCORS: () => false,
    renderError: (ctx, out) => {
      ctx.type = 'html'
      ctx.body = page(String(out.error), `<p>${String(out.error_description ?? '').replace(/[<>&]/g, '')}</p>`)
    },
    ttl: {
      AccessToken: ttl,
      ClientCredentials: ttl,
      AuthorizationCode: 60,
      DeviceCode: 600,
      Grant: day,
      IdToken: 600,
      Interaction: 600,
      RefreshToken: day,
      Session: day
    },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      userinfo: { enabled: false },
      registration: { enabled: registration },
      revocation: { enabled: revocation, allowedPolicy: (_, client, token) => token.clientId === client.clientId },
      introspection: { enabled: options.introspection ?? false, allowedPolicy: () => true },
      clientCredentials: { enabled: options.clientCredentials ?? false },
      deviceFlow: { enabled: options.deviceFlow ?? false, ...devicePages },
      pushedAuthorizationRequests: {
        enabled: options.par !== undefined && options.par !== false,
        requirePushedAuthorizationRequests: options.par === 'required'
      },
      dPoP: {
        enabled: options.dpop !== undefined && options.dpop !== false,
        ...(options.dpop === 'nonce' ? { nonceSecret: randomBytes(32), requireNonce: () => true } : {})
      },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({ audience: resource, scope: scopes.join(' '), accessTokenFormat: 'jwt' })
      },
      ...(documents ? { clientIdMetadataDocument: { enabled: true, ack: 'draft-02' } } : {})
    },
    // Nothing is ever read from the network.
    fetch: async (url: unknown) => {
      const document = documents?.find(({ client_id }) => client_id === String(url))
      return document ? Response.json(document) : new Response(null, { status: 404 })
    }
  } as Configuration
}

const devicePages = {
  userCodeInputSource(ctx: { body: unknown }, form: string): void {
    ctx.body = page('Enter the code', form)
  },
  userCodeConfirmSource(ctx: { body: unknown }, form: string): void {
    ctx.body = page('Confirm the device', `${form}<button type="submit" form="op.deviceConfirmForm">Continue</button>`)
  },
  successSource(ctx: { body: unknown }): void {
    ctx.body = page('Done', '<p>You can close this page.</p>')
  }
}

/** Our own page in place of the provider's: login and consent in one, GET shows it, POST decides. */
async function interact(provider: Provider, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const interaction = await provider.interactionDetails(request, response)
  const { params, uid } = interaction
  if (request.method !== 'POST') {
    const client = await provider.Client.find(String(params.client_id))
    const html = consentPage({
      action: `/interaction/${uid}`,
      client: client?.clientName ?? String(params.client_id),
      resource: [params.resource].flat().join(' '),
      scope: String(params.scope ?? ''),
      redirectUri: String(params.redirect_uri ?? 'your device')
    })
    response.writeHead(200, { 'content-type': 'text/html', 'cache-control': 'no-store' }).end(html)
    return
  }
  const form = new URLSearchParams(await readBody(request))
  const result = form.has('deny')
    ? { error: 'access_denied', error_description: 'the person said no' }
    : await allow(provider, interaction, form.get('account') ?? 'alice')
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false })
}

async function allow(
  provider: Provider,
  { params }: Interaction,
  accountId: string
): Promise<{ login: { accountId: string }; consent: { grantId: string } }> {
  const grant = new provider.Grant({ accountId, clientId: String(params.client_id) })
  const scope = String(params.scope ?? '')
  grant.addOIDCScope(scope)
  for (const resource of [params.resource].flat()) if (typeof resource === 'string') grant.addResourceScope(resource, scope)
  return { login: { accountId }, consent: { grantId: await grant.save() } }
}

/** Changes the fields of a JSON answer on its way out. */
function rewriteJson(response: ServerResponse, changes: Record<string, unknown>): void {
  const end = response.end.bind(response)
  response.end = ((body: unknown) => {
    const text = JSON.stringify({ ...JSON.parse(String(body)), ...changes })
    response.setHeader('content-length', Buffer.byteLength(text))
    return end(text)
  }) as typeof response.end
}

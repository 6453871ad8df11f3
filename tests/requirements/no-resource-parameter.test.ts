// An authorization server of before RFC 8707 that refuses parameters it does not know.
import { browserLogin, type OAuthOptions, oauthTokens, withOAuth } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { expect, test } from 'vitest'
import { type RecordedRequest, readBody, sendJson, startMcpServerV1, startOrigin } from '../servers/index.ts'
import { connect } from '../wire/clients.ts'

interface StrictServer extends AsyncDisposable {
  readonly issuer: string
  /** The one access token it gives. */
  readonly token: string
  readonly requests: readonly RecordedRequest[]
}

/** @param where Where it refuses `resource`. */
async function startStrictServer(where: 'authorization' | 'token'): Promise<StrictServer> {
  const origin = await startOrigin()
  const issuer = origin.url.origin
  const token = 'the-token-of-an-old-server'
  origin.mount('/', async (request, response) => {
    const form = new URLSearchParams(await readBody(request))
    const url = new URL(request.url as string, issuer)
    const refuses = (parameters: URLSearchParams, at: typeof where): boolean => where === at && parameters.has('resource')
    switch (url.pathname) {
      case '/.well-known/oauth-authorization-server':
        return sendJson(response, 200, {
          issuer,
          authorization_endpoint: `${issuer}/authorize`,
          token_endpoint: `${issuer}/token`,
          registration_endpoint: `${issuer}/register`,
          code_challenge_methods_supported: ['S256']
        })
      case '/register':
        return sendJson(response, 201, { client_id: 'a-client', redirect_uris: ['http://127.0.0.1/callback'] })
      case '/authorize': {
        const back = new URL(url.searchParams.get('redirect_uri') as string)
        back.searchParams.set('state', url.searchParams.get('state') ?? '')
        if (refuses(url.searchParams, 'authorization')) back.searchParams.set('error', 'invalid_request')
        else back.searchParams.set('code', 'a-code')
        return void response.writeHead(302, { location: back.href }).end()
      }
      case '/token':
        if (refuses(form, 'token')) return sendJson(response, 400, { error: 'invalid_target' })
        return sendJson(response, 200, { access_token: token, token_type: 'Bearer', expires_in: 600, refresh_token: 'a-refresh-token' })
      default:
        return sendJson(response, 404, {})
    }
  })
  return { issuer, token, requests: origin.requests, [Symbol.asyncDispose]: origin.close }
}

async function loginAt(as: StrictServer, options: OAuthOptions): Promise<{ called: string; afterExpiry: string }> {
  await using server = await startMcpServerV1({ authorizationServer: { issuer: as.issuer, issuedTokens: 0 }, bearerToken: as.token })
  let offset = 0
  const login = browserLogin({ open: async (url) => void (await (await fetch(url)).text()), print: () => undefined })
  const tokens = oauthTokens(server.url, { login, store: memoryStore(), now: () => Date.now() + offset, ...options })
  await tokens.login()
  await using client = await connect({ sdk: 'v1', transport: 'http' }, server.url, withOAuth(server.url, tokens))
  const called = await client.call('echo', { text: 'first' })
  offset = 700_000
  return { called, afterExpiry: await client.call('echo', { text: 'second' }) }
}

test.each(['authorization', 'token'] as const)(
  'N23: a server that refuses `resource` at its %s endpoint is a typed error',
  async (where) => {
    await using as = await startStrictServer(where)
    await expect(loginAt(as, {})).rejects.toMatchObject({ code: expect.stringMatching(/^MCPAUTH_(LOGIN_FAILED|OAUTH_RESPONSE)$/) })
  }
)

test.each(['authorization', 'token'] as const)('N23: with the named option it works there (%s), a refresh included', async (where) => {
  await using as = await startStrictServer(where)
  expect(await loginAt(as, { dangerouslyOmitResource: true })).toEqual({ called: 'first', afterExpiry: 'second' })
  const asked = as.requests.filter(({ path }) => /^\/(authorize|token)/.test(path))
  expect(asked).toHaveLength(3)
  for (const { path, body } of asked) expect(`${path} ${body}`).not.toContain('resource=')
})

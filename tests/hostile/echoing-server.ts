import type { IncomingMessage, ServerResponse } from 'node:http'
import { readBody, startOrigin } from '@mcpauth/tests/servers'

/** How the server answers, with everything it was sent in the answer. */
export type Mood =
  | 'accepts'
  | 'refuses'
  | 'refuses without a challenge'
  | 'wants more scope'
  | 'forbids as AWS does'
  | 'fails'
  | 'drops'
  | 'redirects'
  | 'answers HTML'
  | 'redirects to what is no URL'
  | 'answers what is no HTTP'
  | 'breaks its answer off'

export const moods: readonly Mood[] = [
  'accepts',
  'refuses',
  'refuses without a challenge',
  'wants more scope',
  'forbids as AWS does',
  'fails',
  'drops',
  'redirects',
  'answers HTML',
  'redirects to what is no URL',
  'answers what is no HTTP',
  'breaks its answer off'
]

/** A server that gives back what it gets: as header, as error description, as body, at the MCP endpoint and at those of an authorization server. */
export interface EchoingServer extends AsyncDisposable {
  readonly url: string
  mood: Mood
  /** How the token endpoint answers. */
  tokenMood: 'grants' | Mood
  /** How clients are registered, and how the login on another device begins. */
  registrationMood: 'grants' | Mood
  deviceMood: 'grants' | Mood
  /** All that it was sent, to prove that the secrets really were on the wire. */
  received(): string
  /** The path and query of every request. */
  paths(): string[]
}

const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code'

/**
 * @param accessToken What it grants.
 * @param more What else is in its answers: to a token request, a registration, a device authorization.
 */
export async function startEchoingServer(
  accessToken: string,
  more: { token?: object; registration?: object; device?: object } = {}
): Promise<EchoingServer> {
  const origin = await startOrigin()
  const heard: string[] = []
  const base = origin.url.origin
  const grants = 'grants' as 'grants' | Mood
  const server = { mood: 'accepts' as Mood, tokenMood: grants, registrationMood: grants, deviceMood: grants }

  origin.mount('/mcp', async (request, response) => answer(server.mood, await hear(request), response))
  origin.mount('/token', async (request, response) => {
    const all = await hear(request)
    if (server.tokenMood !== 'grants') return answer(server.tokenMood, all, response)
    json(response, 200, { access_token: accessToken, token_type: 'Bearer', expires_in: 600, [all.slice(0, 200)]: all, ...more.token })
  })
  origin.mount('/register', async (request, response) => {
    const all = await hear(request)
    if (server.registrationMood !== 'grants') return answer(server.registrationMood, all, response)
    json(response, 201, { client_id: 'a-robot', echo: all, ...more.registration })
  })
  origin.mount('/device', async (request, response) => {
    const all = await hear(request)
    if (server.deviceMood !== 'grants') return answer(server.deviceMood, all, response)
    json(response, 200, { user_code: 'ABCD-EFGH', verification_uri: `${base}/device`, expires_in: 1, interval: 1, ...more.device })
  })
  origin.mount('/.well-known/oauth-protected-resource', (_request, response) =>
    json(response, 200, { resource: `${base}/mcp`, authorization_servers: [base] })
  )
  origin.mount('/.well-known/oauth-authorization-server', (_request, response) =>
    json(response, 200, {
      issuer: base,
      authorization_endpoint: `${base}/authorize`,
      token_endpoint: `${base}/token`,
      registration_endpoint: `${base}/register`,
      device_authorization_endpoint: `${base}/device`,
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
      grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials', deviceGrant]
    })
  )

  async function hear(request: IncomingMessage): Promise<string> {
    const all = `${JSON.stringify(request.rawHeaders)} ${await readBody(request)}`
    heard.push(all)
    return all
  }

  return Object.assign(server, {
    url: `${base}/mcp`,
    received: () => heard.join('\n'),
    paths: () => origin.requests.map(({ path }) => path),
    [Symbol.asyncDispose]: origin.close
  })
}

function answer(mood: Mood, all: string, response: ServerResponse): void {
  const quoted = all.replace(/["\\]/g, '\\$&').replace(/[^ -~]/g, '?')
  const oauthError = { error: 'invalid_request', error_description: all, error_uri: `https://e.example/?${encodeURIComponent(all)}` }
  switch (mood) {
    case 'accepts':
      json(response, 200, { jsonrpc: '2.0', id: 1, result: {} })
      return
    case 'refuses':
      response.setHeader('www-authenticate', `Bearer realm="${quoted}", error="invalid_token", error_description="${quoted}"`)
      json(response, 401, oauthError)
      return
    case 'refuses without a challenge':
      json(response, 401, oauthError)
      return
    case 'wants more scope':
      response.setHeader('www-authenticate', `Bearer error="insufficient_scope", scope="more", error_description="${quoted}"`)
      json(response, 403, oauthError)
      return
    case 'forbids as AWS does':
      response.setHeader('x-amzn-errortype', 'InvalidSignatureException')
      json(response, 403, { __type: 'InvalidSignatureException', message: all })
      return
    case 'fails':
      json(response, 500, oauthError)
      return
    case 'drops':
      response.socket?.destroy()
      return
    case 'redirects':
      response.writeHead(307, { location: `http://localhost:1/?${encodeURIComponent(all).slice(0, 1000)}` }).end()
      return
    case 'answers HTML':
      response.writeHead(502, { 'content-type': 'text/html' }).end(`<h1>${all}</h1>`)
      return
    case 'redirects to what is no URL':
      response.writeHead(307, { location: `http://[${quoted}` }).end()
      return
    case 'answers what is no HTTP':
      response.socket?.end(`${all}\r\n\r\n`)
      return
    case 'breaks its answer off':
      response.socket?.end(`HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\nno size: ${all}\r\n`)
  }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

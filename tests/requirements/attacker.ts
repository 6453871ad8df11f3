import { type RecordedRequest, readBody, sendJson, startOrigin } from '../servers/index.ts'

/** An authorization server that belongs to somebody else, and remembers everything it is sent. */
export interface Attacker extends AsyncDisposable {
  readonly issuer: string
  /** What it says about itself; may be changed. */
  readonly metadata: Record<string, unknown>
  readonly requests: readonly RecordedRequest[]
  at(path: string): RecordedRequest[]
  /** Everything that came in, as text, to be searched for secrets. */
  transcript(): string
}

/** What it does in place of an honest server's way. */
export interface AttackerWays {
  /** @default a client of its own */
  register?(body: string): object | Promise<object>
  /** Where it sends the browser. @default straight back, with a code */
  authorize?(request: URL): URL
}

export async function startAttacker(ways: AttackerWays = {}): Promise<Attacker> {
  const origin = await startOrigin()
  const issuer = origin.url.origin
  const metadata: Record<string, unknown> = {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    registration_endpoint: `${issuer}/register`,
    revocation_endpoint: `${issuer}/revoke`,
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none', 'client_secret_basic', 'client_secret_post']
  }
  origin.mount('/', async (request, response) => {
    const body = await readBody(request)
    const url = new URL(request.url as string, issuer)
    switch (url.pathname) {
      case '/.well-known/oauth-authorization-server':
        return sendJson(response, 200, metadata)
      case '/register':
        return sendJson(response, 201, (await ways.register?.(body)) ?? { ...JSON.parse(body), client_id: 'client-of-the-attacker' })
      case '/authorize':
        return void response.writeHead(302, { location: (ways.authorize ?? straightBack)(url).href }).end()
      case '/token':
        return sendJson(response, 200, { access_token: 'token-of-the-attacker', token_type: 'Bearer', expires_in: 600 })
      default:
        return sendJson(response, 404, {})
    }
  })
  return {
    issuer,
    metadata,
    requests: origin.requests,
    at: (path) => origin.requests.filter((request) => request.path.split('?')[0] === path),
    transcript: () => JSON.stringify(origin.requests),
    [Symbol.asyncDispose]: origin.close
  }
}

function straightBack(request: URL): URL {
  const back = new URL(request.searchParams.get('redirect_uri') as string)
  back.searchParams.set('code', 'code-of-the-attacker')
  back.searchParams.set('state', request.searchParams.get('state') ?? '')
  return back
}

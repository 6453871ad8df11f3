import {
  type AccessToken,
  type AnswerHead,
  type BindOptions,
  bindTo,
  canonicalServerUrl,
  type DispatchOptions,
  describeLayer,
  type HeldAnswer,
  type Interceptor,
  invalidOption,
  loginCommand,
  McpAuthError,
  type Prepared,
  parseChallenges,
  type Refusal,
  type ReplayPolicy,
  replaying,
  requestUrl,
  safeText,
  secrets,
  type TokenSource,
  type Turn,
  withHeaderValues
} from '@mcpauth/core'

/** Options of {@link withRefreshOn401}. */
export type RefreshOn401Options = Pick<BindOptions, 'bind' | 'dangerouslyAllowHttp'>

/**
 * Puts the current token of a source on every request to `server`, and when the server refuses it, asks the source for another and sends the request again:
 * at most once per cause and token, five sends in all. A request whose token has been replaced meanwhile is sent again without asking.
 *
 * Which answers ask for what: 401 with a challenge the source serves, or with none: another token. 401 `use_dpop_nonce`: the same token with a nonce.
 * 403 `insufficient_scope`: a wider scope. Nothing else: not a 403 of another kind, not a 400, not a 5xx.
 *
 * Works in {@link authFetch} and in undici's own `compose`, where requests to an authorization server leave through the same dispatcher.
 *
 * @param server The MCP server; other requests pass untouched.
 * @param tokens Where tokens come from. It alone decides how many refreshes run at a time.
 * @throws `MCPAUTH_INVALID_OPTION`, `MCPAUTH_INSECURE_URL` at construction; on the road `MCPAUTH_TOKEN_REFUSED` and what `tokens.renew` throws.
 * @see RFC 6750 §3.1, RFC 9449 §8
 */
export function withRefreshOn401(server: string | URL, tokens: TokenSource, options: RefreshOn401Options = {}): Interceptor {
  if (typeof tokens?.current !== 'function' || typeof tokens.renew !== 'function') throw invalidOption('tokens', 'is not a TokenSource')
  const { server: url } = bindTo(server, options)
  const schemes = (tokens.schemes ?? ['bearer']).map((scheme) => scheme.toLowerCase())

  return describeLayer(
    (dispatch, road) => {
      const binding = bindTo(url, { ...options, bind: options.bind ?? road?.bind ?? 'path' })
      // In undici's own compose there is no road: what is behind this layer is the network.
      tokens.attach?.(road ?? { network: dispatch, closed: new AbortController().signal, bind: 'path' })
      const policyFor = tokenPolicy(url, tokens, schemes)
      return (request, handler) =>
        binding.covers(request) ? replaying(dispatch, request, handler, policyFor(request), road) : dispatch(request, handler)
    },
    { kind: 'credential', server: url, sets: schemes.includes('dpop') ? ['authorization', 'dpop'] : ['authorization'] }
  )
}

/** What one send carried. */
type Sent = AccessToken | undefined
type Policy = ReplayPolicy<Sent>

function tokenPolicy(server: URL, tokens: TokenSource, schemes: readonly string[]): (request: DispatchOptions) => Policy {
  const owner = canonicalServerUrl(server)
  let registered: string | undefined
  /** The newest generation that the server has answered below 400. */
  let acceptedGeneration: number | undefined

  /** Once for as long as it stays the same: a server may say it back. */
  function register({ value }: AccessToken): void {
    if (value === registered) return
    secrets.add(value, 'access_token', owner)
    registered = value
  }

  return (request) => {
    const target = lazyTarget(request)

    function authorized(original: DispatchOptions, token: Sent): Prepared<Sent> {
      if (!token) return { options: original, sent: undefined }
      register(token)
      const headers = tokens.authorize ? tokens.authorize(token, target) : { authorization: `Bearer ${token.value}` }
      return { options: withHeaderValues(original, headers), sent: token }
    }

    function prepare(original: DispatchOptions): Prepared<Sent> | Promise<Prepared<Sent>> {
      const token = tokens.current()
      return token instanceof Promise ? token.then((ready) => authorized(original, ready)) : authorized(original, token)
    }

    function inspect(answer: AnswerHead, sent: Sent): boolean {
      tokens.observe?.(target, answer)
      if (sent && answer.status < 400) acceptedGeneration = sent.generation
      return causeOf(answer, schemes) !== undefined
    }

    async function recover(answer: HeldAnswer, sent: Sent, turn: Turn): Promise<'again' | 'pass'> {
      const cause = causeOf(answer, schemes) as Refusal['cause']
      const refusal: Refusal = {
        status: answer.status as Refusal['status'],
        cause,
        challenges: challengesOf(answer, schemes),
        token: sent,
        accepted: sent !== undefined && sent.generation === acceptedGeneration,
        request: { method: target.method, url: target.url },
        headers: answer.headers
      }
      if (!turn.spend(`${cause}:${sent?.generation ?? 'none'}`)) throw hopeless(server, refusal, 'again')
      if (cause === 'token' && wasReplaced(tokens, sent)) return 'again'
      if (cause === 'token' && sent?.origin === 'granted' && !refusal.accepted)
        throw hopeless(server, refusal, 'although it has just been issued for it')
      await tokens.renew(refusal, turn.waiter)
      return 'again'
    }

    return { prepare, inspect, recover }
  }
}

/** What a source may look at. The URL is parsed only when it does: a bearer token needs none. */
function lazyTarget(request: DispatchOptions): { readonly method: string; readonly url: URL } {
  let parsed: URL | undefined
  return {
    method: request.method,
    get url() {
      parsed ??= requestUrl(request)
      return parsed
    }
  }
}

/** Another request, or another process, was faster: its token is used, nobody is asked. */
function wasReplaced(tokens: TokenSource, sent: Sent): boolean {
  const now = tokens.current()
  return now !== undefined && !(now instanceof Promise) && now.generation !== sent?.generation
}

/** What an answer asks for; undefined: nothing that a token source can give. */
function causeOf(answer: AnswerHead, schemes: readonly string[]): Refusal['cause'] | undefined {
  if (answer.status !== 401 && answer.status !== 403) return undefined
  const served = challengesOf(answer, schemes)
  const errors = served.map(({ parameters }) => parameters.error)
  if (answer.status === 403) return errors.includes('insufficient_scope') ? 'scope' : undefined
  if (errors.includes('use_dpop_nonce')) return 'nonce'
  return served.length > 0 || answer.headers['www-authenticate'] === undefined ? 'token' : undefined
}

function challengesOf({ headers }: AnswerHead, schemes: readonly string[]): Refusal['challenges'] {
  return parseChallenges(headers['www-authenticate']).filter(({ scheme }) => schemes.includes(scheme))
}

function hopeless(server: URL, { status, request, challenges }: Refusal, how: string): McpAuthError {
  const reason = challenges.map(({ parameters }) => safeText(parameters.error_description ?? parameters.error)).find(Boolean)
  return new McpAuthError(
    'MCPAUTH_TOKEN_REFUSED',
    `${request.url.origin} answered ${status} to its token ${how}${reason ? `; it says: ${reason}` : ''}`,
    {
      hint: `check what the server expects (audience, issuer, scope), then: ${loginCommand(server)}`
    }
  )
}

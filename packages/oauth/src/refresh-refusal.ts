import type { OAuthResponseError } from './oauth-response-error.ts'

/**
 * What a token endpoint's no says about the refresh token: it is `dead` for good; this request of it was `refused`, for whatever reason; or nothing,
 * because the server is `unavailable` just then.
 */
export type RefreshRefusal = 'dead' | 'refused' | 'unavailable'

/** The part of an answer that counts. */
type Answer = Pick<OAuthResponseError, 'status' | 'error' | 'error_description'>

/** An answer to be recognised: what is given has to be the same to the letter. */
type Sign = Partial<Answer> & Pick<Answer, 'error'>

/** An authorization server that says `invalid_grant` in words of its own. */
interface KnownServer {
  /** The host of its token endpoint; with a leading dot, every host below it. */
  readonly host: string
  readonly dead: Sign
  /** Errors that other servers would answer with a 429 or 503. */
  readonly unavailable?: readonly string[]
}

/** Only what its operator or its users have written down, and only answers that cannot mean anything else. */
const knownServers: readonly KnownServer[] = [
  // 200, "The refresh token passed is incorrect or expired": https://github.com/orgs/community/discussions/24745
  { host: 'github.com', dead: { error: 'bad_refresh_token' } },
  // 200 with "ok": false, whatever went wrong: https://docs.slack.dev/reference/methods/oauth.v2.user.access
  {
    host: 'slack.com',
    dead: { error: 'invalid_refresh_token' },
    unavailable: [
      'fatal_error',
      'internal_error',
      'org_login_required',
      'ratelimited',
      'request_timeout',
      'service_unavailable',
      'team_added_to_org'
    ]
  },
  // Besides the invalid_grant that is documented; unauthorized_client alone is about the client: https://github.com/raycast/extensions/issues/11836
  { host: 'auth.atlassian.com', dead: { status: 403, error: 'unauthorized_client', error_description: 'refresh_token is invalid' } },
  // Final for an unknown, replaced, expired or revoked token: https://shopify.dev/docs/apps/build/authentication-authorization/implement-token-exchange
  {
    host: '.myshopify.com',
    dead: { status: 401, error: 'invalid_request', error_description: 'This request requires an active refresh_token' }
  }
]

/** Errors by which any server may say that it cannot answer now. */
const unavailable: readonly unknown[] = ['temporarily_unavailable', 'slow_down', 'server_error']

/**
 * Reads a token endpoint's no to a refresh. `invalid_grant` (RFC 6749 §5.2) is the word for a dead refresh token, but not every server's: known ones
 * have a row of their own, and from any other a no that is not `invalid_grant` proves nothing, so that nothing is deleted for it.
 *
 * @param tokenEndpoint Where the refresh token was sent; undefined: nobody's.
 */
export function refreshRefusal(answer: Answer, tokenEndpoint: string | undefined): RefreshRefusal {
  const { status, error } = answer
  if (status === 429 || status >= 500) return 'unavailable'
  if (error === 'invalid_grant') return 'dead'
  const known = knownServer(tokenEndpoint)
  if (known && isSign(known.dead, answer)) return 'dead'
  // Some servers answer a dead refresh token with a bare 401; a page at any other status is somebody else's.
  if (error === undefined) return status === 401 ? 'refused' : 'unavailable'
  return unavailable.includes(error) || known?.unavailable?.includes(error) ? 'unavailable' : 'refused'
}

/** By the host that TLS has proved, with its port: a name that only looks alike is somebody else's. */
function knownServer(tokenEndpoint: string | undefined): KnownServer | undefined {
  if (tokenEndpoint === undefined || !URL.canParse(tokenEndpoint)) return undefined
  const { protocol, host } = new URL(tokenEndpoint)
  if (protocol !== 'https:') return undefined
  return knownServers.find((server) => (server.host.startsWith('.') ? host.endsWith(server.host) : host === server.host))
}

function isSign(sign: Sign, answer: Answer): boolean {
  return (Object.keys(sign) as (keyof Answer)[]).every((name) => sign[name] === answer[name])
}

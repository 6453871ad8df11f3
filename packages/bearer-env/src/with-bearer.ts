import {
  type BindOptions,
  bindTo,
  type DispatchOptions,
  describeLayer,
  type Environment,
  type Interceptor,
  type Prepared,
  type ReplayPolicy,
  replaying,
  withHeaderValues
} from '@mcpauth/core'
import { type BearerSource, type OpenSource, openSource } from './bearer-source.ts'
import { refusedToken } from './refused-token.ts'

/** Options of {@link withBearer}, beside the token's source. */
export interface BearerOptions extends BindOptions {
  /** Where `{ env }` looks. @default process.env */
  environment?: Environment
}

/**
 * Puts `Authorization: Bearer <token>` on every request to one MCP server, whatever stood there.
 *
 * The token is read for each request, so a rotation is picked up: from an environment variable, from a file (read again when it changes), or from
 * a function. Errors reach the request, before anything is sent. A 401 means that the token is wrong: if its source holds another one by now,
 * the request is sent once more with that; otherwise it fails. No OAuth flow ever starts here.
 *
 * @param server The MCP server's URL; requests to anything else pass untouched.
 * @param source `{ env: 'NAME' }`, `{ file: 'path' }` or `{ get: () => token }`, and options.
 * @throws `MCPAUTH_INVALID_OPTION`, `MCPAUTH_INSECURE_URL` at construction. On a request: `MCPAUTH_CREDENTIAL_MISSING` not set, empty or unreadable;
 *   `MCPAUTH_CREDENTIAL_INVALID` not fit for a header; `MCPAUTH_TOKEN_REFUSED` the server answered 401.
 * @see RFC 6750 §2.1
 *
 * @example
 * ```ts
 * import { authFetch } from '@mcpauth/core'
 * import { withBearer } from '@mcpauth/bearer-env'
 *
 * const url = 'https://mcp.example.com/mcp'
 * export const fetch = authFetch(withBearer(url, { env: 'EXAMPLE_TOKEN' }))
 * ```
 */
export function withBearer(server: string | URL, source: BearerSource & BearerOptions): Interceptor {
  // biome-ignore lint/style/noProcessEnv: the one place where this package takes the environment, and only as a default.
  const opened = openSource(source, source?.environment ?? process.env)
  const url = bindTo(server, source).server
  const policy = bearerPolicy(url, opened)

  return describeLayer(
    (dispatch, road) => {
      const bound = bindTo(server, { ...source, bind: source.bind ?? road?.bind ?? 'path' })
      return (options, handler) =>
        bound.covers(options) ? replaying(dispatch, options, handler, policy, road) : dispatch(options, handler)
    },
    { kind: 'credential', server: url, sets: ['authorization'] }
  )
}

function bearerPolicy(server: URL, source: OpenSource): ReplayPolicy<string> {
  return {
    prepare(original) {
      const token = source.read()
      return typeof token === 'string' ? withToken(original, token) : token.then((value) => withToken(original, value))
    },
    inspect: ({ status }) => status === 401,
    async recover(answer, sent, turn) {
      // Read again: the token may have been rotated while the request was on its way.
      if ((await source.read()) !== sent && turn.spend('bearer')) return 'again'
      throw refusedToken(server, source, answer)
    }
  }
}

function withToken(original: DispatchOptions, token: string): Prepared<string> {
  return { options: withHeaderValues(original, { authorization: `Bearer ${token}` }), sent: token }
}

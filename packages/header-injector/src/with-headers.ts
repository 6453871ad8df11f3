import {
  type BindOptions,
  bindTo,
  describeLayer,
  type Environment,
  type Interceptor,
  invalidOption,
  type Prepared,
  type ReplayPolicy,
  replaying,
  withHeaderValues
} from '@mcpauth/core'
import { checkHeaderNames } from './header-name.ts'
import { type HeaderValue, openHeader, type ReadHeader } from './header-source.ts'

/** Options of {@link withHeaders}. */
export interface HeadersOptions extends BindOptions {
  /** Where `{ env }` and `${NAME}` look. @default process.env */
  env?: Environment
}

/**
 * Sets headers on every request to one MCP server, each replacing what the caller set under its name. Names go on the wire as written.
 *
 * A value is a text, in which `${NAME}` stands for an environment variable, or `{ env: 'NAME' }`, or a function called for each request.
 * Variables are read when a request is sent, so a rotation is picked up, and are registered as secrets; plain texts are not.
 *
 * @param server The MCP server's URL; requests to anything else pass untouched.
 * @param headers Names and values. `Authorization` and `Proxy-Authorization` are refused, with the package that is right for them.
 * @throws `MCPAUTH_INVALID_OPTION`, `MCPAUTH_INSECURE_URL` at construction. On a request, before anything is sent: `MCPAUTH_CREDENTIAL_MISSING`
 *   a variable is not set or empty; `MCPAUTH_CREDENTIAL_INVALID` a value that no header can hold.
 *
 * @example
 * ```ts
 * import { authFetch } from '@mcpauth/core'
 * import { withHeaders } from '@mcpauth/header-injector'
 *
 * const url = 'https://mcp.example.com/mcp'
 * export const fetch = authFetch(withHeaders(url, { 'X-Tenant': 'acme', 'X-API-Key': { env: 'EXAMPLE_KEY' } }))
 * ```
 */
export function withHeaders(
  server: string | URL,
  headers: Readonly<Record<string, HeaderValue>>,
  options: HeadersOptions = {}
): Interceptor {
  if (typeof headers !== 'object' || headers === null) throw invalidOption('headers', 'is not an object of names and values')
  // biome-ignore lint/style/noProcessEnv: the one place where this package takes the environment, and only as a default.
  const { env = process.env, ...binding } = options
  const url = bindTo(server, binding).server
  checkHeaderNames(Object.keys(headers))
  const values = openHeaders(headers, env)

  return describeLayer(
    (dispatch, road) => {
      const bound = bindTo(server, { ...binding, bind: binding.bind ?? road?.bind ?? 'path' })
      if (values.dynamic.length === 0) {
        return (request, handler) => dispatch(bound.covers(request) ? withHeaderValues(request, values.fixed) : request, handler)
      }
      const policy = headerPolicy(values)
      return (request, handler) =>
        bound.covers(request) ? replaying(dispatch, request, handler, policy, road) : dispatch(request, handler)
    },
    { kind: 'headers', server: url, sets: Object.keys(headers).map((name) => name.toLowerCase()) }
  )
}

interface OpenHeaders {
  readonly fixed: Readonly<Record<string, string>>
  readonly dynamic: ReadonlyArray<readonly [name: string, read: ReadHeader]>
}

function openHeaders(headers: Readonly<Record<string, HeaderValue>>, environment: Environment): OpenHeaders {
  const fixed: Record<string, string> = {}
  const dynamic: Array<[string, ReadHeader]> = []
  for (const [name, value] of Object.entries(headers)) {
    const opened = openHeader(name, value, environment)
    if (typeof opened === 'string') fixed[name] = opened
    else dynamic.push([name, opened])
  }
  return { fixed, dynamic }
}

/** No answer is held back: the mechanism is used for its wait before a send, and for its errors. */
function headerPolicy(values: OpenHeaders): ReplayPolicy<undefined> {
  return {
    prepare(original) {
      const given = values.dynamic.map(([name, read]) => ({ name, value: read() }))
      const settle = (all: ReadonlyArray<string | undefined>): Prepared<undefined> => {
        const set: Record<string, string> = { ...values.fixed }
        given.forEach(({ name }, index) => {
          const value = all[index]
          if (value !== undefined) set[name] = value
        })
        return { options: withHeaderValues(original, set), sent: undefined }
      }
      const all = given.map(({ value }) => value)
      return isReady(all) ? settle(all) : Promise.all(all).then(settle)
    },
    inspect: () => false,
    recover: () => Promise.resolve('pass')
  }
}

function isReady<T>(values: ReadonlyArray<T | Promise<T>>): values is T[] {
  return !values.some((value) => value instanceof Promise)
}

import {
  checkVariableName,
  type Environment,
  expandVariables,
  invalidOption,
  McpAuthError,
  readVariable,
  secretFile,
  secrets,
  sourceFailed
} from '@mcpauth/core'
import { checkTokenValue } from './token-value.ts'

/** Where a bearer token comes from. It is never a literal. */
export type BearerSource =
  /** The name of an environment variable; a `${NAME}` in it is first replaced by that variable's value. */
  | { readonly env: string }
  /** The path of a file that holds the token; one trailing newline is removed. */
  | { readonly file: string }
  /** Called for every request; it keeps what is worth keeping. */
  | { readonly get: () => string | Promise<string> }

/** A source, opened. */
export interface OpenSource {
  /** A token that is fit for a header and known to the secret registry. */
  read(): string | Promise<string>
  /** As in "the environment variable NAME". */
  readonly origin: string
  /** What a user does when the server refuses the token. */
  readonly hint: string
}

/**
 * Checks a source and makes it readable.
 *
 * @throws `MCPAUTH_INVALID_OPTION` not exactly one of `env`, `file` and `get`, or one that cannot be used.
 */
export function openSource(source: BearerSource, environment: Environment): OpenSource {
  const given = ['env', 'file', 'get'].filter((name) => (source as unknown as Record<string, unknown> | null)?.[name] !== undefined)
  if (typeof source !== 'object' || given.length !== 1) {
    const hint = "as in withBearer(url, { env: 'MY_TOKEN' }); a token is never given as a literal"
    throw invalidOption('source', 'is not exactly one of { env }, { file } and { get }', hint)
  }
  if ('env' in source) return openVariable(source.env, environment)
  if ('file' in source) return openFile(source.file)
  return openFunction(source.get)
}

function openVariable(template: string, environment: Environment): OpenSource {
  checkVariableName('env', template)
  const admit = admission()

  const origin = `the environment variable ${template}`

  function read(): string {
    const name = expandVariables(template, (inner) => readVariable(inner, environment))
    // As it was written: where the token itself stands in the variable that was to hold a name, its name is the token.
    return admit(readVariable(name, environment, template), origin)
  }
  return { read, origin, hint: `put a token that is valid for this server into ${template}` }
}

function openFile(path: unknown): OpenSource {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) throw invalidOption('file', 'is not the path of a file')
  const admit = admission()
  const readFile = secretFile(path)
  const origin = `the file ${path}`
  return { read: () => admit(readFile(), origin), origin, hint: `put a token that is valid for this server into ${path}` }
}

function openFunction(get: () => unknown): OpenSource {
  if (typeof get !== 'function') throw invalidOption('get', 'is not a function')
  const admit = admission()
  const origin = 'the function get'

  function given(token: unknown): string {
    if (typeof token === 'string' && token !== '') return admit(token, origin)
    throw new McpAuthError('MCPAUTH_CREDENTIAL_MISSING', `${origin} gave no token`, { hint: 'return the token as a string, or throw' })
  }

  const failed = (error: unknown): McpAuthError => sourceFailed(origin, 'as get', error)

  function read(): string | Promise<string> {
    let token: unknown
    try {
      token = get()
    } catch (error) {
      throw failed(error)
    }
    if (typeof token === 'string') return given(token)
    return Promise.resolve(token).then(given, (error) => {
      throw failed(error)
    })
  }
  return { read, origin, hint: 'let it return a token that is valid for this server' }
}

/** Checks and registers a token once for as long as it stays the same: this runs for every request. */
function admission(): (token: string, origin: string) => string {
  let last: string | undefined
  return (token, origin) => {
    if (token === last) return token
    secrets.add(token, 'bearer')
    checkTokenValue(token, origin)
    last = token
    return token
  }
}

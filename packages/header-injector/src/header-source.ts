import {
  checkReferences,
  checkVariableName,
  type Environment,
  expandVariables,
  invalidOption,
  literals,
  McpAuthError,
  readVariable,
  secrets,
  sourceFailed
} from '@mcpauth/core'
import { whatIsWrong } from './header-value.ts'

/** The value of one header. */
export type HeaderValue =
  /** Sent as it is; each `${NAME}` is replaced by that environment variable when a request is sent. */
  | string
  /** The name of an environment variable, read when a request is sent. Its value is a secret. */
  | { readonly env: string }
  /** Called for every request; undefined leaves the header alone. What it gives is a secret only if it registered it. */
  | (() => string | undefined | Promise<string | undefined>)

/** Gives the value for one request. Throws an error that names the header or the variable, never the value. */
export type ReadHeader = () => string | undefined | Promise<string | undefined>

/**
 * Checks one header's value at construction and makes it readable.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 */
export function openHeader(name: string, value: HeaderValue, environment: Environment): string | ReadHeader {
  if (typeof value === 'string') return openLiteral(name, value, environment)
  if (typeof value === 'function') return openFunction(name, value)
  const option = `headers.${name}`
  if (typeof value !== 'object' || value === null) throw invalidOption(option, 'is not a string, { env } or a function')
  checkVariableName(`${option}.env`, value.env)
  const variable = secretVariable(environment)
  return () => variable(value.env)
}

function openLiteral(name: string, template: string, environment: Environment): string | ReadHeader {
  const option = `headers.${name}`
  const wrong = whatIsWrong(template)
  if (wrong) throw invalidOption(option, wrong)
  checkReferences(option, template)
  if (!template.includes('${')) {
    // What stands in the program is no secret, and a redactor may show it.
    literals.add(template)
    return template
  }
  const variable = secretVariable(environment)
  return () => expandVariables(template, variable)
}

function openFunction(name: string, get: () => unknown): ReadHeader {
  function given(value: unknown): string | undefined {
    if (value === undefined) return undefined
    if (typeof value !== 'string') throw invalidValue(`the function for ${name}`, 'gave something that is not a string')
    const wrong = whatIsWrong(value)
    if (wrong) throw invalidValue(`the function for ${name}`, `gave a value that ${wrong}`)
    return value
  }

  const failed = (error: unknown): McpAuthError => sourceFailed(`the function for ${name}`, `for ${name}`, error)

  return () => {
    let value: unknown
    try {
      value = get()
    } catch (error) {
      throw failed(error)
    }
    if (value === undefined || typeof value === 'string') return given(value)
    const later = Promise.resolve(value).then(given, (error) => {
      throw failed(error)
    })
    // Whoever sends awaits it, unless another header of the same request has failed before.
    later.catch(() => {})
    return later
  }
}

/** Reads environment variables as secrets: each value is checked and registered once for as long as it stays the same. */
function secretVariable(environment: Environment): (name: string) => string {
  const last = new Map<string, string>()
  return (name) => {
    const value = readVariable(name, environment)
    if (last.get(name) !== value) {
      secrets.add(value, name)
      const wrong = whatIsWrong(value)
      if (wrong) throw invalidValue(`the environment variable ${name}`, wrong)
      last.set(name, value)
    }
    return value
  }
}

function invalidValue(origin: string, fact: string): McpAuthError {
  return new McpAuthError('MCPAUTH_CREDENTIAL_INVALID', `${origin} ${fact}`, {
    hint: 'a header takes visible Latin-1 characters on one line'
  })
}

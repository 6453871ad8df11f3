// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to environment variables are written so.
import { invalidOption, McpAuthError } from './errors.ts'

/** Environment variables, as `process.env` has them. Tests and embedders give their own. */
export type Environment = Readonly<Record<string, string | undefined>>

const variableName = /^[A-Za-z_][A-Za-z0-9_]*$/
/** Nobody has named a variable so, but many a token is a name: `ghp_…`, or a key in hexadecimal. */
const tokenLike = /^(?=.*[a-z])(?=.*\d)\w{20,}$/
const reference = /\$\{([^}]*)\}?/g

/**
 * Reads an environment variable at the time of the call, so that a rotation is picked up.
 *
 * @param shown What the error says in the place of the name.
 * @throws `MCPAUTH_CREDENTIAL_MISSING` the variable is not set or empty; the error names it.
 */
export function readVariable(name: string, environment: Environment, shown: string = name): string {
  const value = environment[name]
  // Of an inherited name (`constructor`) even process.env gives something that is no string.
  if (typeof value === 'string' && value !== '') return value
  if (tokenLike.test(shown)) {
    throw new McpAuthError('MCPAUTH_CREDENTIAL_MISSING', 'there is no environment variable of the name that was given', {
      hint: 'give the name of the variable, never the secret itself'
    })
  }
  throw new McpAuthError('MCPAUTH_CREDENTIAL_MISSING', `the environment variable ${shown} is ${value === '' ? 'empty' : 'not set'}`, {
    hint: `set ${shown} in the environment of this process`
  })
}

/** Replaces each `${NAME}` in a template by what `read` gives for it. Values are not expanded again. */
export function expandVariables(template: string, read: (name: string) => string): string {
  return template.replace(reference, (_, name: string) => read(name))
}

/**
 * Checks at construction that a text can name an environment variable; `${NAME}` may stand in it, once resolved by {@link expandVariables}.
 * The text itself is never quoted: a token given in the place of a name would be.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 */
export function checkVariableName(option: string, name: unknown): asserts name is string {
  if (typeof name !== 'string' || !variableName.test(name.replace(reference, 'X'))) {
    throw invalidOption(option, 'is not the name of an environment variable', 'give the name of the variable, never the secret itself')
  }
  checkReferences(option, name)
}

/**
 * Checks at construction that every `${` in a template begins a reference to an environment variable.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 */
export function checkReferences(option: string, template: string): void {
  for (const [whole, name] of template.matchAll(reference)) {
    if (!whole.endsWith('}') || !variableName.test(name as string)) {
      throw invalidOption(
        option,
        "holds a '${' that names no environment variable",
        "write '${NAME}'; a text with a real '${' is given as a function"
      )
    }
  }
}

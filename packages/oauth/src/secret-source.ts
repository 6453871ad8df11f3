import {
  checkVariableName,
  type Environment,
  invalidOption,
  McpAuthError,
  readVariable,
  secretFile,
  secrets,
  sourceFailed
} from '@mcpauth/core'

/** Where a secret is read from, each time it is needed: a variable, a file (one trailing newline is removed), or a function. Never a literal. */
export type SecretSource = { readonly env: string } | { readonly file: string } | (() => string | Promise<string>)

/**
 * Checks at construction that an option says where its secret is.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 */
export function checkSecretSource(name: string, source: unknown): asserts source is SecretSource {
  if (typeof source === 'function') return
  const { env, file } = (source ?? {}) as { env?: unknown; file?: unknown }
  if ((env === undefined) === (file === undefined)) {
    throw invalidOption(name, "is neither { env: 'NAME' } nor { file: 'path' } nor a function", 'a secret is never written into code')
  }
  if (env !== undefined) checkVariableName(`${name}.env`, env)
  else if (typeof file !== 'string' || file === '' || file.includes('\0')) throw invalidOption(`${name}.file`, 'is not the path of a file')
}

/**
 * Reads a secret and registers it, so that it is taken out of whatever is printed.
 *
 * @throws `MCPAUTH_CREDENTIAL_MISSING` the variable or file is missing or empty, or the function fails; the error names it and the option, never the value.
 */
export async function readSecret(name: string, source: SecretSource, env: Environment): Promise<string> {
  const value = typeof source === 'function' ? await given(name, source) : kept(name, source, env)
  secrets.add(value, name)
  return value
}

function kept(name: string, source: Exclude<SecretSource, () => unknown>, env: Environment): string {
  try {
    return 'env' in source ? readVariable(source.env, env) : secretFile(source.file)()
  } catch (error) {
    if (!McpAuthError.is(error)) throw error
    const { code, message, hint } = error
    throw new McpAuthError(code, `${name}: ${message}`, hint === undefined ? {} : { hint })
  }
}

async function given(name: string, source: () => unknown): Promise<string> {
  const what = `the function given as ${name}`
  let value: unknown
  try {
    value = await source()
  } catch (error) {
    throw sourceFailed(what, `as ${name}`, error)
  }
  if (typeof value === 'string' && value !== '') return value
  throw new McpAuthError('MCPAUTH_CREDENTIAL_MISSING', `${what} gave nothing`, { hint: 'return the secret as a string, or throw' })
}

import { resolve } from 'node:path'
import { type ChangingFile, changingFile, checkVariableName, type Environment, invalidOption, readVariable } from '@mcpauth/core'
import { certificateInvalid } from './certificate-error.ts'

/** Where a certificate, a private key or a bundle of authorities comes from, as PEM. */
export type PemSource =
  /** The path of a file, read again when it changes. */
  | { readonly file: string }
  /** The name of an environment variable that holds the PEM text itself, with line ends or with `\n` in their place. */
  | { readonly env: string }

/** A source, opened. */
export interface OpenPem extends ChangingFile {
  /** As in "the file client.pem". */
  readonly origin: string
  /** The path, where it is a file. */
  readonly file?: string
}

/** A bundle of every authority there is has 200 KiB. In bytes. */
const maxPemBytes = 4 * 1024 * 1024

/**
 * Checks a source at construction.
 *
 * @throws `MCPAUTH_INVALID_OPTION` neither `{ file }` nor `{ env }`.
 */
export function openPem(option: string, source: PemSource, environment: Environment): OpenPem {
  const { file, env } = (source ?? {}) as { file?: unknown; env?: unknown }
  if ((file === undefined) === (env === undefined)) {
    throw invalidOption(option, 'is neither { file } nor { env }', `as in { ${option}: { file: 'path.pem' } }`)
  }
  if (env === undefined) return openFile(option, file)
  checkVariableName(`${option}.env`, env)
  const read = (): string => withLines(readVariable(env, environment))
  return { origin: `the environment variable ${env}`, identity: read, read }
}

/** Where a variable can have but one line, `\n` is written for a line's end; PEM has no backslash of its own. */
function withLines(text: string): string {
  return text.replaceAll('\\n', '\n')
}

function openFile(option: string, path: unknown): OpenPem {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) throw invalidOption(`${option}.file`, 'is not the path of a file')
  const file = resolve(path)
  const origin = `the file ${file}`
  const hint = `check option ${option}, and that this process may read the file`
  return { origin, file, ...changingFile(file, maxPemBytes, (fact) => certificateInvalid(origin, fact, hint)) }
}

import { McpAuthError, safeText, secrets } from '@mcpauth/core'

/** What the command ends with. */
export const exitCodes = {
  done: 0,
  failed: 1,
  /** The command line makes no sense. */
  usage: 2,
  /** There is no token, or not one that is good for this, and a person has to log in. */
  loginRequired: 3
} as const

const loginCodes: ReadonlySet<string> = new Set(['MCPAUTH_LOGIN_REQUIRED', 'MCPAUTH_LOGIN_PENDING', 'MCPAUTH_STEP_UP_REQUIRED'])

/** Where the command writes. */
export interface Terminal {
  /** An answer: standard output. */
  answer(line: string): void
  /** What happens meanwhile: standard error. */
  tell(line: string): void
  /** Whether a person is there: a terminal at both ends, and not a CI run. */
  readonly interactive: boolean
}

/** The terminal of this process. Every line loses what would steer a terminal and every secret that is known. */
export function processTerminal(env: NodeJS.ProcessEnv): Terminal {
  const writer = (stream: NodeJS.WriteStream) => (line: string) => void stream.write(`${printable(line)}\n`)
  const inCi = env.CI !== undefined && env.CI !== '' && env.CI !== 'false' && env.CI !== '0'
  return {
    answer: writer(process.stdout),
    tell: writer(process.stderr),
    interactive: process.stdin.isTTY === true && process.stderr.isTTY === true && !inCi
  }
}

/** One line without escapes, bidirectional tricks or secrets; its indentation is kept. */
function printable(line: string): string {
  const indent = /^ */.exec(line)?.[0] ?? ''
  return indent + secrets.redact(safeText(line, 20_000))
}

/** Says what happened, to which server, and the command that helps. Returns the exit code. */
export function report(error: unknown, terminal: Terminal, server?: string): number {
  const about = server === undefined ? undefined : nameOf(server)
  if (!McpAuthError.is(error)) {
    terminal.tell(`mcpauth: an unexpected error: ${error instanceof Error ? `${error.name}: ${error.message}` : 'unknown'}`)
    if (about !== undefined) terminal.tell(`  server: ${about}`)
    terminal.tell('  This is a fault of mcpauth; please report it.')
    return exitCodes.failed
  }
  terminal.tell(`mcpauth: ${error.message}`)
  if (about !== undefined) terminal.tell(`  server: ${about}`)
  if (error.hint !== undefined) terminal.tell(`  next: ${error.hint}`)
  terminal.tell(`  code: ${error.code}`)
  if (error.code === 'MCPAUTH_INVALID_OPTION') return exitCodes.usage
  return loginCodes.has(error.code) ? exitCodes.loginRequired : exitCodes.failed
}

/** The server as given, without what may be a secret in it: user name, password, query. */
function nameOf(server: string): string | undefined {
  if (!URL.canParse(server)) return undefined
  const { origin, pathname } = new URL(server)
  return origin === 'null' ? undefined : origin + pathname
}

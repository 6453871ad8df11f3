import { McpAuthError } from '@mcpauth/core'

/** How long a statement may take that waits for nobody. A server that has vanished without a word would else be waited for until TCP gives up, 15 minutes. */
export const statementMs = 15_000

/** What ends by itself: a server that restarts or fails over, a pooler that has lost it, a connection that was cut, too many connections. */
const passing = /^(?:08...|57P0[1235]|53300|25006|25P03|ECONN(?:REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT)$/
/** What `pg` says without a code when a connection is gone. */
const cut = /^(?:connection terminated|client has encountered a connection error|client was closed|query read timeout)/i

const hints: Readonly<Record<string, string>> = {
  '42P01': 'run await store.ensureSchema() once',
  '42501': 'give the role SELECT, INSERT, UPDATE and DELETE on mcpauth_records and mcpauth_leases',
  '25006': 'a standby answered: point the pool at the primary',
  '28P01': 'check the user and the password of the pool'
}

/** Whether trying again in a moment can help: the database is on its way down or up. */
export function isPassing(error: unknown): boolean {
  if (McpAuthError.is(error)) return passing.test(sqlStates.get(error) ?? '')
  const code = codeOf(error)
  return code === undefined ? error instanceof Error && cut.test(error.message) : passing.test(code)
}

const sqlStates = new WeakMap<McpAuthError, string>()

/**
 * Runs queries, and nothing but queries; what the database or its connection throws becomes our error. Never wraps the work of a caller.
 *
 * @throws `MCPAUTH_STORE_UNAVAILABLE`
 */
export async function reachable<T>(queries: () => Promise<T>): Promise<T> {
  try {
    return await queries()
  } catch (error) {
    throw unavailable(error)
  }
}

/**
 * What the database says may quote a row, and what `pg` says its connection string with the password in it, as a TypeError too (`Invalid URL`); only the code is
 * kept.
 */
export function unavailable(error: unknown): McpAuthError {
  if (McpAuthError.is(error)) return error
  const code = codeOf(error)
  const ours = new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', factOf(code), {
    hint: hints[code ?? ''] ?? 'check that the database is up and the pool large enough; nothing was deleted'
  })
  if (isPassing(error)) sqlStates.set(ours, code ?? '08006')
  return ours
}

function factOf(code: string | undefined): string {
  if (code === '42P01') return 'the tables of the token store are missing'
  return `PostgreSQL cannot be used${code === undefined ? '' : ` (${code})`}`
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' && /^[0-9A-Z_]+$/.test(code) ? code : undefined
}

/** A query with a time limit of our own: the server's limits end nothing when the server is gone. */
export function limited(text: string, values?: readonly unknown[], limitMs: number = statementMs): { text: string; values?: unknown[] } {
  return { text, ...(values === undefined ? {} : { values: [...values] }), query_timeout: Math.ceil(limitMs) } as { text: string }
}

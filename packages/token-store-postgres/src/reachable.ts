import { McpAuthError } from '@mcpauth/core'

/** Errors of the connection, of the operating system and of the server's own end; SQLSTATE classes 08, 53, 57 and 58. */
const unreachable = /^(?:08|53|57|58|25P0)|^E[A-Z]+$/

/** Runs queries; what the database or its connection throws becomes our error. Never wraps the work of a caller. */
export async function reachable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw unavailable(error)
  }
}

/** What the database says may quote a row; only its code is kept. */
function unavailable(error: unknown): unknown {
  if (McpAuthError.is(error) || !(error instanceof Error)) return error
  const code = (error as { code?: unknown }).code
  const lost = /terminat|timeout|not queryable|connection/i.test(error.message)
  if (code === '42P01')
    return new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', 'the tables are missing', { hint: 'run await store.ensureSchema() once' })
  if (!lost && !(typeof code === 'string' && (unreachable.test(code) || /^[0-9A-Z]{5}$/.test(code)))) return error
  return new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', `PostgreSQL cannot be used${typeof code === 'string' ? ` (${code})` : ''}`, {
    hint: 'check that the database is up and the pool large enough; nothing was deleted'
  })
}

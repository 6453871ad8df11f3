import { McpAuthError, safeText } from '@mcpauth/core'

/** Who holds a lock, as far as it left word. */
export interface Holder {
  readonly pid: number
  readonly host: string
}

/** The error of a waiter whose time is over. It names the holder, so that a person can look at that process. */
export function lockTimeout(described: string, deadlineMs: number, holder: Holder | undefined): McpAuthError {
  const by = holder ? `process ${holder.pid} on ${safeText(holder.host, 100)} holds it` : 'its holder left no word'
  return new McpAuthError('MCPAUTH_LOCK_TIMEOUT', `the lock of ${described} was not free within ${deadlineMs} ms: ${by}`, {
    hint: holder
      ? `look at process ${holder.pid} on ${safeText(holder.host, 100)}: it may be stopped; end it or let it go on, then try again`
      : 'another process is refreshing or logging in; try again'
  })
}

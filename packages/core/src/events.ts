import { channel } from 'node:diagnostics_channel'
import { secrets } from './secret-registry.ts'
import { withoutQueries } from './url-queries.ts'

/** The names of what mcpauth publishes on `node:diagnostics_channel`. No payload ever holds a secret. */
export type McpAuthEvent =
  | 'mcpauth:request:refused'
  | 'mcpauth:request:replayed'
  | 'mcpauth:token:refreshed'
  | 'mcpauth:token:adopted'
  | 'mcpauth:token:cleared'
  | 'mcpauth:login:started'
  | 'mcpauth:login:finished'
  | 'mcpauth:login:failed'
  | 'mcpauth:client:registered'
  | 'mcpauth:store:warning'
  | 'mcpauth:lock:warning'
  | 'mcpauth:key:warning'
  | 'mcpauth:credentials:renewed'

/**
 * Publishes an event. Costs nothing while nobody listens.
 *
 * @param event The channel's name.
 * @param payload Facts without secrets: servers, generations, codes, paths. URLs lose their queries, and a name that a server has made of a secret loses that.
 */
export function publish(event: McpAuthEvent, payload: Readonly<Record<string, unknown>>): void {
  const target = channel(event)
  if (target.hasSubscribers) target.publish(printable(payload))
}

function printable(payload: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const safe = (value: unknown): unknown => (typeof value === 'string' ? withoutQueries(secrets.redact(value)) : value)
  return Object.fromEntries(Object.entries(payload).map(([name, value]) => [name, safe(value)]))
}

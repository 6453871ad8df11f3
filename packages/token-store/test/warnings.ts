import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { onTestFinished } from 'vitest'

/** What is published on a channel from now until the test is over. */
export function eventsOn(channel: 'mcpauth:store:warning' | 'mcpauth:lock:warning'): Record<string, unknown>[] {
  const events: Record<string, unknown>[] = []
  const listen = (message: unknown): void => void events.push(message as Record<string, unknown>)
  subscribe(channel, listen)
  onTestFinished(() => void unsubscribe(channel, listen))
  return events
}

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { McpAuthEvent } from '@mcpauth/core'
import { everythingOf } from './canary.ts'

// The names are written out: an event that is added is added here too, and the type check says so.
const events = [
  'mcpauth:request:refused',
  'mcpauth:request:replayed',
  'mcpauth:token:refreshed',
  'mcpauth:token:adopted',
  'mcpauth:token:cleared',
  'mcpauth:login:started',
  'mcpauth:login:finished',
  'mcpauth:login:failed',
  'mcpauth:client:registered',
  'mcpauth:store:warning',
  'mcpauth:lock:warning',
  'mcpauth:key:warning',
  'mcpauth:credentials:renewed'
] as const satisfies readonly McpAuthEvent[]
// Does not compile when an event is missing above.
export const everyEventIsWatched: Exclude<McpAuthEvent, (typeof events)[number]> extends never ? true : false = true

/** Whatever a program puts out besides what it returns and throws. */
export interface Sinks extends Disposable {
  /** All of it, as text. */
  text(): string
  /** How many of our events came. */
  events(): number
}

/** Listens to our events, to warnings, and to what is written to the terminal. */
export function watchSinks(): Sinks {
  const seen: string[] = []
  let count = 0
  const onEvent = (payload: unknown, name: string | symbol): void => {
    count += 1
    seen.push(`${String(name)} ${everythingOf(payload)}`)
  }
  const onWarning = (warning: Error): void => void seen.push(everythingOf(warning))
  for (const event of events) subscribe(event, onEvent)
  process.on('warning', onWarning)
  const restore = [process.stdout, process.stderr].map((stream) => {
    const write = stream.write
    stream.write = ((chunk: unknown, ...rest: unknown[]) => {
      seen.push(String(chunk))
      return (write as (...all: unknown[]) => boolean).call(stream, chunk, ...rest)
    }) as typeof stream.write
    return () => {
      stream.write = write
    }
  })
  return {
    text: () => seen.join('\n'),
    events: () => count,
    [Symbol.dispose]() {
      for (const event of events) unsubscribe(event, onEvent)
      process.off('warning', onWarning)
      for (const back of restore) back()
    }
  }
}

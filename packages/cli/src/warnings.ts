import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { McpAuthEvent } from '@mcpauth/core'
import type { Terminal } from './terminal.ts'

const warnings: readonly McpAuthEvent[] = ['mcpauth:store:warning', 'mcpauth:lock:warning', 'mcpauth:key:warning']

/** What a warning may say. */
interface Warning {
  what?: string
  problem?: string
  reason?: string
  path?: string
  file?: string
  server?: string
  root?: string
  hint?: string
}

/** Runs `work`, and tells what mcpauth warns of meanwhile: nobody else listens in this process. */
export async function tellingWarnings<T>(terminal: Terminal, work: () => Promise<T>): Promise<T> {
  const tell = (message: unknown): void => tellWarning(message as Warning, terminal)
  for (const name of warnings) subscribe(name, tell)
  try {
    return await work()
  } finally {
    for (const name of warnings) unsubscribe(name, tell)
  }
}

function tellWarning({ what, problem, reason, path, file, server, root, hint }: Warning, terminal: Terminal): void {
  const facts = [what ?? problem?.replaceAll('-', ' ') ?? reason, path ?? file ?? server ?? root]
  terminal.tell(`warning: ${facts.filter((fact) => fact !== undefined).join(': ')}`)
  if (hint !== undefined) terminal.tell(`  next: ${hint}`)
}

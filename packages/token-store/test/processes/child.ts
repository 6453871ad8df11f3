import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ChildTask } from './worker.ts'

/** A real process that works on a store. */
export interface Child {
  readonly pid: number
  /** The next message with this name. */
  said(name: string): Promise<Record<string, unknown>>
  say(name: string): void
  kill(signal: NodeJS.Signals): void
  /** How it ended. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; output: string }>
}

/** Starts worker.ts with a task. */
export function startChild(task: ChildTask, options: { execArgv?: string[]; env?: Record<string, string> } = {}): Child {
  const child: ChildProcess = fork(fileURLToPath(new URL('worker.ts', import.meta.url)), [JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    execArgv: options.execArgv ?? [],
    env: { ...process.env, ...options.env }
  })
  let output = ''
  child.stdout?.on('data', (chunk) => (output += chunk))
  child.stderr?.on('data', (chunk) => (output += chunk))
  const messages: { name: string }[] = []
  const waiting: { name: string; resolve(message: Record<string, unknown>): void }[] = []
  child.on('message', (message: { name: string }) => {
    const waiter = waiting.findIndex(({ name }) => name === message.name)
    if (waiter === -1) messages.push(message)
    else waiting.splice(waiter, 1)[0]?.resolve(message as Record<string, unknown>)
  })
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, output }))
  const gone = ended.then(({ code, signal }) => {
    throw new Error(`the process ended (${code ?? signal}) before it said what was awaited\n${output}`)
  })
  gone.catch(() => undefined)

  function said(name: string): Promise<Record<string, unknown>> {
    const found = messages.findIndex((message) => message.name === name)
    if (found !== -1) return Promise.resolve(messages.splice(found, 1)[0] as Record<string, unknown>)
    return Promise.race([new Promise<Record<string, unknown>>((resolve) => waiting.push({ name, resolve })), gone])
  }
  return { pid: child.pid ?? -1, said, say: (name) => void child.send({ name }), kill: (signal) => void child.kill(signal), ended }
}

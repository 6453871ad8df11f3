import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Sdk } from './mcp-clients.ts'
import type { WorkerMessage } from './worker.ts'

/** A running worker process. */
export interface Worker extends AsyncDisposable {
  readonly pid: number
  /** Resolves once it has connected. */
  readonly ready: Promise<void>
  /** Lets it call its tools. */
  release(): void
  /** What the tools answered. Rejects with the worker's reason. */
  readonly answers: Promise<string[]>
}

/** Starts a process that connects to `url` with the token cache alone and, once released, calls a tool `calls` times at once. */
export function startWorker(sdk: Sdk, url: URL, calls: number): Worker {
  const child = fork(fileURLToPath(new URL('worker.ts', import.meta.url)), [sdk, url.href, String(calls)], { silent: true })
  // What it prints belongs to the demo's output, which is searched for secrets at the end.
  child.stdout?.on('data', (chunk) => process.stdout.write(chunk))
  child.stderr?.on('data', (chunk) => process.stderr.write(chunk))

  const ready = Promise.withResolvers<void>()
  const answers = Promise.withResolvers<string[]>()
  child.on('message', (message: WorkerMessage) => {
    if (message.kind === 'ready') ready.resolve()
    if (message.kind === 'done') answers.resolve(message.answers)
    if (message.kind === 'failed') fail(new Error(`the worker failed: ${message.reason}`))
  })
  void once(child, 'close').then(([code]) => fail(new Error(`the worker ended with ${code}`)))

  function fail(error: Error): void {
    ready.reject(error)
    answers.reject(error)
  }
  // Whoever waits is told; the other promise must not end the demo on its own.
  ready.promise.catch(() => undefined)
  answers.promise.catch(() => undefined)

  return {
    pid: child.pid ?? 0,
    ready: ready.promise,
    answers: answers.promise,
    release: () => void child.send('go'),
    async [Symbol.asyncDispose]() {
      child.kill()
    }
  }
}

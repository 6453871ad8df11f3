// Many processes, one rotating refresh token, a server that revokes the grant at reuse.
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fileStore } from '@mcpauth/token-store'
import { expect, onTestFinished, test } from 'vitest'
import type { Way } from './clients.ts'
import { openScene, type Road, statefulRoads } from './roads.ts'

type Message = 'ready' | { answers: string[] } | { error: string }

test('T8 16 processes and 20 expiries cost 20 refreshes', { timeout: 300_000 }, async () => {
  const cache = await mkdtemp(join(tmpdir(), 'mcpauth-processes-'))
  onTestFinished(() => rm(cache, { recursive: true, force: true }))
  await using scene = await openScene(statefulRoads[0] as Road, { oauth: { store: fileStore({ root: cache }) } })
  const workers = await Promise.all(Array.from({ length: 16 }, (_, n) => startWorker(cache, scene.url, n % 2 === 0 ? 'v1' : 'v2')))

  for (let round = 1; round <= 20; round++) {
    scene.server.expire()
    const answers = await Promise.all(workers.map((worker) => ask(worker, 2)))
    expect(answers.flat()).toHaveLength(32)
    expect(answers.flat().every((answer) => answer.includes('"sub":"alice"'))).toBe(true)
    expect(scene.as.ledger.refreshes).toBe(round)
  }
  expect(scene.as.ledger).toMatchObject({ refreshes: 20, refusedRefreshes: 0, reuses: 0, revokedGrants: 0, logins: 0 })
  expect([...scene.as.ledger.uses.values()].every((uses) => uses === 1)).toBe(true)
})

async function startWorker(cache: string, url: URL, sdk: Way['sdk']): Promise<ChildProcess> {
  const worker = fork(fileURLToPath(new URL('worker.ts', import.meta.url)), [url.href, sdk], {
    env: { ...process.env, MCPAUTH_AUTH_DIR: cache },
    execArgv: []
  })
  onTestFinished(() => void worker.kill('SIGKILL'))
  const first = await next(worker)
  expect(first).toBe('ready')
  return worker
}

async function ask(worker: ChildProcess, calls: number): Promise<string[]> {
  worker.send(calls)
  const message = await next(worker)
  if (typeof message === 'string' || 'error' in message) throw new Error(JSON.stringify(message))
  return message.answers
}

function next(worker: ChildProcess): Promise<Message> {
  const { promise, resolve, reject } = Promise.withResolvers<Message>()
  const gone = (code: number | null, signal: string | null): void => reject(new Error(`the worker ended with ${code ?? signal}`))
  worker.once('message', (message) => resolve(message as Message))
  worker.once('exit', gone)
  return promise.finally(() => worker.off('exit', gone))
}

import type { ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { McpAuthError, type McpAuthErrorCode } from '@mcpauth/core'
import { type FileStore, type SpawnGuard, spawnGuard } from '@mcpauth/token-store'
import { OAuthResponseError } from './oauth-response-error.ts'
import type { ClientOptions, OAuthOptions, Settings } from './options.ts'
import { isUsable, type RefreshOutcome, type RefreshTask } from './refresh.ts'
import { readSecret } from './secret-source.ts'
import type { SessionStore } from './session-store.ts'

/** What a helper is told, on its standard input: everything that a refresh needs and that is not in the record. */
export interface HelperOrder {
  server: string
  root: string
  stale: RefreshTask['stale']
  /** The clock's distance from the real one, in milliseconds; 0 outside tests. */
  offsetMs: number
  /** How long it tries to write what it got, in milliseconds: it has nowhere else to keep it. */
  insistMs: number
  options: OAuthOptions & { client?: ClientOptions }
  secrets: { clientSecret?: string; privateKey?: string }
}

/** What a helper answers, on its standard output. Never a token: those it has written where they belong. */
export type HelperAnswer =
  | { kind: 'adopted' | 'refreshed' }
  | { kind: 'impossible'; why: 'no-refresh-token' | 'moved' | 'dead' | 'refused'; error?: HelperError }
  | { kind: 'failed'; error: HelperError }

/** An error, as it crosses between processes. */
export interface HelperError {
  code: McpAuthErrorCode
  message: string
  hint?: string
  response?: { status: number; error?: string; error_description?: string; retryAfterMs?: number }
}

/** Options that a helper needs, and that can be written down. */
const writable = [
  'profile',
  'lockWaitMs',
  'tokenUrl',
  'resource',
  'dangerouslyOmitResource',
  'dangerouslyAllowHttp',
  'scopeOnRefresh',
  'useMtlsEndpoints'
] as const

/** How long a refresh may take once it has the lock, in milliseconds: a discovery (30 s) and a request (60 s) that is made twice, and some. */
const refreshMs = 180_000
const insistMs = 60_000

/**
 * A refresh that survives this process: a detached helper takes the record's lock, asks and writes. A process that is killed between the
 * server's commit and its own write would lose the grant on a server that detects reuse; the helper goes on.
 *
 * One helper per key at a time: whoever holds the spawn guard starts it, the others wait for the record to change. Costs the start of a process.
 *
 * @throws what a refresh in this process throws
 */
export async function refreshIsolated(task: RefreshTask, settings: Settings): Promise<RefreshOutcome> {
  const root = (settings.store as SessionStore & FileStore).root as string
  const guard = spawnGuard(root, task.key)
  const until = performance.now() + settings.lockWaitMs
  for (;;) {
    const record = await task.store.read(task.key)
    if (record && isUsable(record, task)) return { kind: 'adopted', record }
    if (!record?.refresh_token) return { kind: 'impossible', why: 'no-refresh-token', record }
    const turn = guard.tryTake()
    if (turn) {
      try {
        return await refreshAsGuard(task, settings, root, guard)
      } finally {
        turn.release()
      }
    }
    if (performance.now() > until) throw guard.timeout(settings.lockWaitMs)
    await sleep(8 + Math.random() * 52)
  }
}

async function refreshAsGuard(task: RefreshTask, settings: Settings, root: string, guard: SpawnGuard): Promise<RefreshOutcome> {
  // Again, now that nobody else can start one.
  const record = await task.store.read(task.key)
  if (record && isUsable(record, task)) return { kind: 'adopted', record }
  if (!record?.refresh_token) return { kind: 'impossible', why: 'no-refresh-token', record }
  if (!(await task.mayRefresh(record))) return { kind: 'impossible', why: 'moved', record }
  const order = await orderOf(task, settings, root)
  const answer = await runHelper(order, settings.lockWaitMs + refreshMs + insistMs, guard).catch(adoptedOr)
  if (answer.kind === 'failed') throw errorOf(answer.error)
  const now = await task.store.read(task.key)
  if (answer.kind === 'impossible') {
    const error = answer.error && errorOf(answer.error)
    return { kind: 'impossible', why: answer.why, record: now, ...(error instanceof OAuthResponseError ? { error } : {}) }
  }
  if (!now) return { kind: 'impossible', why: 'no-refresh-token', record: now }
  return answer.kind === 'adopted' ? { kind: 'adopted', record: now } : { kind: 'refreshed', record: now, saved: true }

  /** A helper that is told to end finishes its write first, and then says nothing. */
  async function adoptedOr(error: unknown): Promise<HelperAnswer> {
    const there = await task.store.read(task.key)
    if (!there || !isUsable(there, task)) throw error
    return { kind: 'adopted' }
  }
}

async function orderOf({ stale, now }: RefreshTask, settings: Settings, root: string): Promise<HelperOrder> {
  // What is undefined is not written down.
  const options: OAuthOptions = Object.fromEntries(writable.map((name) => [name, settings[name]]))
  const order: HelperOrder = { server: settings.server.href, root, stale, offsetMs: now() - Date.now(), insistMs, options, secrets: {} }
  const { client, env } = settings
  if (!client) return order
  const { clientSecret, privateKey, ...rest } = client
  order.options.client = rest
  if (clientSecret) order.secrets.clientSecret = await readSecret('client.clientSecret', clientSecret, env)
  if (privateKey) order.secrets.privateKey = await readSecret('client.privateKey', privateKey, env)
  return order
}

/**
 * Secrets go over standard input: arguments and environments can be read by others. A helper that is stopped is not waited for for ever, and not ended either: it may
 * have asked already.
 */
async function runHelper(order: HelperOrder, limitMs: number, guard: SpawnGuard): Promise<HelperAnswer> {
  const { spawn } = await import('node:child_process')
  // Beside this file, in the sources as in what is published.
  const file = new URL(import.meta.url.endsWith('.ts') ? 'refresh-helper.ts' : 'refresh-helper.js', import.meta.url)
  return await new Promise((resolve, reject) => {
    const helper: ChildProcess = spawn(process.execPath, [fileURLToPath(file)], {
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
      windowsHide: true
    })
    // Counts while the helper lives, which keeps this process alive; afterwards it means nothing.
    setTimeout(() => {
      reject(guard.timeout(limitMs))
      helper.stdin?.destroy()
      helper.stdout?.destroy()
      helper.unref()
    }, limitMs).unref()
    let said = ''
    helper.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk
    })
    helper.once('error', (error: NodeJS.ErrnoException) => reject(noHelper(error.code)))
    helper.once('close', (code, signal) => {
      const answer = parseAnswer(said)
      if (answer) resolve(answer)
      else reject(noHelper(signal ?? `exit ${code}`))
    })
    // It may have ended before it read: then the answer says so.
    helper.stdin?.on('error', () => undefined)
    helper.stdin?.end(JSON.stringify(order))
  })
}

function parseAnswer(text: string): HelperAnswer | undefined {
  try {
    return JSON.parse(text) as HelperAnswer
  } catch {
    return undefined
  }
}

/** An error of the helper, as if it had happened here. */
function errorOf({ code, message, hint, response }: HelperError): McpAuthError {
  const more = hint === undefined ? {} : { hint }
  return response
    ? new OAuthResponseError(message.replace(/: status.*/s, ''), { ...response, ...more })
    : new McpAuthError(code, message, more)
}

function noHelper(why: string | undefined): McpAuthError {
  return new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', `the helper process that refreshes tokens did not answer (${why ?? 'unknown'})`, {
    hint: "check that this user may start processes, or leave refreshIsolation at 'none'"
  })
}

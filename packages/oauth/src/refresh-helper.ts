import { McpAuthError } from '@mcpauth/core'
import { fileStore } from '@mcpauth/token-store'
import { authorizationContext } from './authorization-context.ts'
import { loginErrors } from './login-errors.ts'
import { OAuthResponseError } from './oauth-response-error.ts'
import { checkOptions } from './options.ts'
import { recordRefresh } from './record-refresh.ts'
import { refreshOnce } from './refresh.ts'
import type { HelperAnswer, HelperError, HelperOrder } from './refresh-isolation.ts'
import { roadNetwork } from './road-network.ts'

// The process behind `refreshIsolation: 'process'`: one order on standard input, one refresh, one answer on standard output.
// An order that was cut off, because whoever gave it was killed, is no order.

async function carryOut({ server, root, stale, offsetMs, insistMs, options, secrets }: HelperOrder): Promise<HelperAnswer> {
  const { clientSecret, privateKey } = secrets
  const client = options.client && {
    ...options.client,
    ...(clientSecret === undefined ? {} : { clientSecret: () => clientSecret }),
    ...(privateKey === undefined ? {} : { privateKey: () => privateKey })
  }
  const now = (): number => Date.now() + offsetMs
  const settings = checkOptions(server, { ...options, ...(client ? { client } : {}), store: fileStore({ root }), now })
  const refreshing = recordRefresh(authorizationContext(settings, roadNetwork(undefined)), loginErrors(settings))
  const outcome = await refreshOnce({
    store: settings.store,
    key: settings.key,
    stale,
    now,
    lockWaitMs: settings.lockWaitMs,
    insistMs,
    unsaved: () => undefined,
    mayRefresh: refreshing.isOurs,
    send: refreshing.send
  })
  if (outcome.kind === 'refreshed' && !outcome.saved) return { kind: 'failed', error: describe(notKept(root)) }
  if (outcome.kind !== 'impossible') return { kind: outcome.kind }
  return { kind: 'impossible', why: outcome.why, ...(outcome.error ? { error: describe(outcome.error) } : {}) }
}

function notKept(root: string): McpAuthError {
  return new McpAuthError(
    'MCPAUTH_STORE_UNAVAILABLE',
    `the refreshed token could not be written to ${root}, and is lost with the helper process`,
    {
      hint: 'free some space there, or correct the permissions, then log in again'
    }
  )
}

function describe(error: unknown): HelperError {
  if (!McpAuthError.is(error)) return { code: 'MCPAUTH_STORE_UNAVAILABLE', message: 'the helper process failed' }
  const { code, message, hint } = error
  const described: HelperError = { code, message, ...(hint === undefined ? {} : { hint }) }
  if (!(error instanceof OAuthResponseError)) return described
  const { status, error: name, error_description, retryAfterMs } = error
  const response = { status, error: name, error_description, retryAfterMs }
  return { ...described, response: JSON.parse(JSON.stringify(response)) }
}

async function readOrder(): Promise<HelperOrder> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString()) as HelperOrder
}

try {
  const order = await readOrder()
  const answer = await carryOut(order).catch((error: unknown): HelperAnswer => ({ kind: 'failed', error: describe(error) }))
  // Whoever asked may be gone; the record is written all the same.
  process.stdout.on('error', () => undefined)
  process.stdout.write(JSON.stringify(answer))
} catch {
  process.exitCode = 1
}

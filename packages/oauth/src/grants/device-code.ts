import { setTimeout as delay } from 'node:timers/promises'
import { invalidOption, McpAuthError, safeText, secrets } from '@mcpauth/core'
import { mayHaveArrived, parseJson, retryAfterMs } from '../authorization-server-client.ts'
import { OAuthResponseError } from '../oauth-response-error.ts'
import { loadProtocol } from '../protocol.ts'
import { isObject, type TokenResponse } from '../token-response.ts'
import { askForToken, built, type Grant, type GrantRequest, grantParameters, requestOptions } from './grant.ts'

const grantType = 'urn:ietf:params:oauth:grant-type:device_code'

/** What a person needs to log in on another device. Both URLs are http(s); all texts are safe to print. */
export interface DevicePrompt {
  /** Where to go. */
  verificationUri: string
  /** What to type there. */
  userCode: string
  /** The same with the code in it, for a QR code; not every server has one. */
  verificationUriComplete: string | undefined
  /** How long the code is good, in seconds. */
  expiresInSeconds: number
}

/** No person waits longer for a login to be noticed; and a timer of more than 24 days would go off at once, again and again. */
const longestIntervalMs = 600_000
/** A server that is away is asked again after this, at the latest; but never sooner than it said before. */
const longestAwayMs = 60_000

/** Options of {@link deviceLogin}. */
export interface DeviceLoginOptions {
  /** Shows the code to the person. @default two lines on standard error */
  show?: (prompt: DevicePrompt) => void
  /** Waits between two questions, in milliseconds; for tests. */
  wait?: (ms: number, signal: AbortSignal | undefined) => Promise<void>
}

/** A device authorization response (RFC 8628 §3.2). */
interface Authorization {
  deviceCode: string
  prompt: DevicePrompt
  intervalMs: number
}

/**
 * Logs in without a browser on this machine: the person types a code on another device (RFC 8628, N40).
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 * @example
 * ```ts
 * import { deviceLogin, withOAuth } from '@mcpauth/oauth'
 *
 * export const layer = withOAuth('https://mcp.example.com/mcp', { grant: deviceLogin() })
 * ```
 */
export function deviceLogin({ show = print, wait = pause }: DeviceLoginOptions = {}): Grant {
  if (typeof show !== 'function') throw invalidOption('show', 'is not a function')
  async function grant(ask: GrantRequest): Promise<TokenResponse> {
    const started = ask.now()
    const authorization = await authorize(ask)
    show(authorization.prompt)
    return await poll(ask, authorization, started, wait)
  }
  return Object.assign(grant, { grantType, interactive: true as const })
}

async function authorize(ask: GrantRequest): Promise<Authorization> {
  const what = 'the device authorization'
  if (ask.authorizationServer.device_authorization_endpoint === undefined) {
    throw new McpAuthError('MCPAUTH_LOGIN_FAILED', `${safeText(ask.authorizationServer.issuer)} offers no device login`, {
      hint: 'use browserLogin() or pasteLogin(), or give deviceAuthorizationUrl if you know it'
    })
  }
  const protocol = await loadProtocol()
  const response = await built(() =>
    protocol.deviceAuthorizationRequest(
      ask.authorizationServer,
      ask.client,
      ask.clientAuth,
      grantParameters(ask),
      requestOptions(protocol, ask, what, { deadlineMs: 30_000 }) as never
    )
  )
  const body = parseJson(await response.text())
  const fields = isObject(body) ? body : {}
  const { device_code, user_code, verification_uri, verification_uri_complete, expires_in, interval } = fields
  if (!response.ok || typeof device_code !== 'string' || typeof user_code !== 'string' || !isWebUrl(verification_uri)) {
    const { error, error_description } = fields
    throw new OAuthResponseError(what, { status: response.status, error, error_description, retryAfterMs: retryAfterMs(response) })
  }
  secrets.add(device_code, 'device_code')
  return {
    deviceCode: device_code,
    prompt: {
      verificationUri: new URL(verification_uri).href,
      userCode: safeText(user_code, 40),
      verificationUriComplete: isWebUrl(verification_uri_complete) ? new URL(verification_uri_complete).href : undefined,
      expiresInSeconds: positive(expires_in) ?? 600
    },
    intervalMs: Math.min(Math.max((positive(interval) ?? 5) * 1000, 1_000), longestIntervalMs)
  }
}

function positive(value: unknown): number | undefined {
  const number = Number(value)
  return Number.isFinite(number) && number > 0 ? number : undefined
}

/** A person is sent there, so nothing but the web (N35). */
function isWebUrl(value: unknown): value is string {
  return typeof value === 'string' && URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)
}

/** RFC 8628 §3.5. */
async function poll(
  ask: GrantRequest,
  { deviceCode, prompt, intervalMs }: Authorization,
  startedMs: number,
  wait: NonNullable<DeviceLoginOptions['wait']>
): Promise<TokenResponse> {
  let everyMs = intervalMs
  for (;;) {
    await wait(everyMs, ask.signal)
    if (ask.now() - startedMs > prompt.expiresInSeconds * 1000) throw expired()
    try {
      return await askForToken(ask, 'the device login', (protocol, options) =>
        protocol.deviceCodeGrantRequest(ask.authorizationServer, ask.client, ask.clientAuth, deviceCode, {
          ...options,
          additionalParameters: ask.resource === undefined ? {} : { resource: ask.resource }
        })
      )
    } catch (error) {
      if (ask.signal?.aborted) throw error
      everyMs = nextIntervalMs(error, everyMs)
    }
  }
}

/** How long to wait before asking again, in milliseconds; throws what ends the login. */
function nextIntervalMs(error: unknown, everyMs: number): number {
  // A server that is away for a moment says nothing about the login: twice as long, RFC 8628 §3.5.
  if (isAway(error)) return Math.max(everyMs, Math.min(Math.max(everyMs * 2, retryAfterOf(error)), longestAwayMs))
  if (!(error instanceof OAuthResponseError)) throw error
  if (error.error === 'authorization_pending') return everyMs
  if (error.error === 'slow_down') return everyMs + 5_000
  if (error.error === 'expired_token') throw expired()
  if (error.error === 'access_denied') throw new McpAuthError('MCPAUTH_LOGIN_FAILED', 'the login was refused on the other device')
  throw error
}

function isAway(error: unknown): boolean {
  if (error instanceof OAuthResponseError) return error.status === 429 || error.status >= 500
  return mayHaveArrived(error) || (McpAuthError.is(error) && error.code === 'MCPAUTH_TIMEOUT')
}

function retryAfterOf(error: unknown): number {
  return (error instanceof OAuthResponseError ? error.retryAfterMs : undefined) ?? 0
}

function expired(): McpAuthError {
  return new McpAuthError('MCPAUTH_LOGIN_FAILED', 'the code was not typed in time', { hint: 'log in again; a new code is shown' })
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await delay(ms, undefined, { signal })
}

function print({ verificationUri, userCode }: DevicePrompt): void {
  process.stderr.write(`To log in, open ${verificationUri} on any device\nand type the code ${userCode}\n`)
}

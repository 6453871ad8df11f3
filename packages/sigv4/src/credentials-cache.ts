import { McpAuthError, publish } from '@mcpauth/core'
import type { AwsCredentials, CredentialsSource } from './credentials.ts'

/** Credentials in use. Two with the same generation are the same credentials. */
export interface HeldCredentials {
  readonly credentials: AwsCredentials
  readonly generation: number
}

/** Credentials fetched once for many requests. */
export interface CredentialsCache {
  /** Synchronous while they are fresh. Near their end they are renewed behind the request, past it before it. */
  current(): HeldCredentials | Promise<HeldCredentials>
  /** Credentials other than the refused ones, if the source has any by now. One fetch, however many ask. */
  renew(refused: HeldCredentials): Promise<HeldCredentials>
}

/** Renewed so long before their end, but never earlier than in the last fifth of their life. */
const aheadMs = 5 * 60_000
/** A source that fails, or gives what is about to end, is not asked again sooner. */
const pauseMs = 30_000
/** A credential_process or a metadata endpoint that hangs would hang every request. */
const fetchDeadlineMs = 60_000

/**
 * Keeps what a source gives.
 *
 * @param now The service's time in milliseconds, since that is what ends a session.
 */
export function credentialsCache(source: CredentialsSource, now: () => number): CredentialsCache {
  let held: HeldCredentials | undefined
  let flight: Promise<HeldCredentials> | undefined
  let renewAtMs = 0

  function fetchOnce(): Promise<HeldCredentials> {
    flight ??= fetchNow().finally(() => {
      flight = undefined
    })
    return flight
  }

  async function fetchNow(): Promise<HeldCredentials> {
    try {
      held = adopted(held, await withDeadline(source))
      renewAtMs = renewalTime(held.credentials, now())
      return held
    } catch (error) {
      // What is still valid is used in peace for a while; what has ended is asked for again by every request.
      renewAtMs = Math.min(now() + pauseMs, held?.credentials.expiration?.getTime() ?? Number.POSITIVE_INFINITY)
      throw error
    }
  }

  function adopted(before: HeldCredentials | undefined, credentials: AwsCredentials): HeldCredentials {
    if (before && sameKeys(before.credentials, credentials)) return { credentials, generation: before.generation }
    const generation = (before?.generation ?? 0) + 1
    publish('mcpauth:credentials:renewed', { source: source.name, generation, expiration: credentials.expiration?.toISOString() })
    return { credentials, generation }
  }

  function current(): HeldCredentials | Promise<HeldCredentials> {
    if (held === undefined) return fetchOnce()
    const time = now()
    if (time < renewAtMs) return held
    const pending = fetchOnce()
    if (!ended(held.credentials, time)) {
      // The request goes with what is still valid; whoever needs the new ones asks again and hears of the failure then.
      pending.catch(() => {})
      return held
    }
    return pending
  }

  async function renew(refused: HeldCredentials): Promise<HeldCredentials> {
    return held !== undefined && held.generation !== refused.generation ? held : await fetchOnce()
  }

  return { current, renew }
}

function renewalTime({ expiration }: AwsCredentials, timeMs: number): number {
  if (expiration === undefined) return Number.POSITIVE_INFINITY
  const lifetimeMs = expiration.getTime() - timeMs
  // Over already, by our reckoning: the service decides, and the source is left alone for a while.
  return lifetimeMs <= 0 ? timeMs + pauseMs : expiration.getTime() - Math.min(aheadMs, lifetimeMs / 5)
}

function ended({ expiration }: AwsCredentials, timeMs: number): boolean {
  return expiration !== undefined && expiration.getTime() <= timeMs
}

function sameKeys(a: AwsCredentials, b: AwsCredentials): boolean {
  return a.accessKeyId === b.accessKeyId && a.secretAccessKey === b.secretAccessKey && a.sessionToken === b.sessionToken
}

async function withDeadline(source: CredentialsSource): Promise<AwsCredentials> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new McpAuthError('MCPAUTH_AWS_CREDENTIALS', `no credentials from ${source.name} within ${fetchDeadlineMs / 1000} s`, {
          hint: 'something behind it hangs: a credential_process, or the metadata endpoint of a container or instance'
        })
      )
    }, fetchDeadlineMs)
  })
  try {
    return await Promise.race([source.fetch(), deadline])
  } finally {
    clearTimeout(timer)
  }
}

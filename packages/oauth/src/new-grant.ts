import { McpAuthError } from '@mcpauth/core'
import { type AuthorizationOutcome, authorizeByGrant, authorizeByLogin, loginByGrant } from './authorization.ts'
import type { AuthorizationContext } from './authorization-context.ts'
import type { AuthorizationWish } from './authorization-request.ts'
import type { Grant } from './grants/grant.ts'
import type { Login } from './login.ts'
import type { LoginErrors } from './login-errors.ts'
import { OAuthResponseError } from './oauth-response-error.ts'

/** New grants, by whatever way the user has given. */
export interface NewGrants {
  /**
   * @param asking Called when it begins to wait for a person.
   * @throws `MCPAUTH_LOGIN_REQUIRED` there is no way; and what discovery, registration, the person and the token endpoint throw
   */
  obtain(wish: AuthorizationWish, login: Login | undefined, asking: () => void): Promise<AuthorizationOutcome>
  /** Somebody asked for it by name: an earlier no does not count. */
  forgetNo(): void
}

/** How long a no is not asked about again, in milliseconds. */
const pauseMs = 10_000

/** Makes them for one token source. */
export function newGrants(context: AuthorizationContext, errors: LoginErrors): NewGrants {
  const { grant, now, loginTimeoutMs } = context.settings
  let lastNo: { atMs: number; error: unknown } | undefined

  async function obtain(wish: AuthorizationWish, login: Login | undefined, asking: () => void): Promise<AuthorizationOutcome> {
    if (!grant && !login) throw errors.required()
    // Without a pause, every request after a no would open another tab, or send a rejected assertion again.
    if (lastNo && Math.abs(now() - lastNo.atMs) < pauseMs) throw lastNo.error
    try {
      const outcome = await (grant && needsNobody(grant) ? authorizeByGrant(context, grant, wish) : byPerson(wish, login, asking))
      lastNo = undefined
      return outcome
    } catch (error) {
      if (isRefusal(error)) lastNo = { atMs: now(), error }
      throw error
    }
  }

  async function byPerson(wish: AuthorizationWish, login: Login | undefined, asking: () => void): Promise<AuthorizationOutcome> {
    const limit = AbortSignal.timeout(loginTimeoutMs)
    const abandoned = wish.signal
    const bounded = { ...wish, signal: abandoned ? AbortSignal.any([abandoned, limit]) : limit, abandoned }
    let asked = grant?.interactive === true
    const onAsking = (): void => {
      asked = true
      asking()
    }
    // It may need nobody, so it says so itself.
    if (!grant?.prepare) asking()
    const watched = watching(login, onAsking)
    try {
      return await (grant ? byGrant(grant, bounded, onAsking) : authorizeByLogin(context, watched, bounded))
    } catch (error) {
      const failure = limit.aborted && codeOf(error) !== 'MCPAUTH_LOGIN_FAILED' ? errors.tookTooLong() : error
      // Who goes away has not said no.
      if (asked && !abandoned?.aborted) lastNo = { atMs: now(), error: failure }
      throw failure
    }
  }

  function byGrant(way: Grant, wish: AuthorizationWish, onAsking: () => void): Promise<AuthorizationOutcome> {
    return way.interactive === true ? loginByGrant(context, way, wish) : authorizeByGrant(context, way, { ...wish, asking: onAsking })
  }

  return {
    obtain,
    forgetNo: () => {
      lastNo = undefined
    }
  }
}

function needsNobody({ interactive, prepare }: Grant): boolean {
  return interactive !== true && prepare === undefined
}

/** A no, as against a server that cannot answer now. */
function isRefusal(error: unknown): boolean {
  if (error instanceof OAuthResponseError) return error.status >= 400 && error.status < 500
  return codeOf(error) === 'MCPAUTH_LOGIN_FAILED' || codeOf(error) === 'MCPAUTH_REGISTRATION_FAILED'
}

/** A login that says when it sends the person somewhere. */
function watching(login: Login | undefined, asking: () => void): Login {
  return async () => {
    const open = await (login as Login)()
    return {
      redirectUri: open.redirectUri,
      ask: (url, state, signal) => {
        asking()
        return open.ask(url, state, signal)
      },
      finish: (problem) => open.finish?.(problem),
      close: () => open.close?.()
    }
  }
}

function codeOf(error: unknown): string | undefined {
  return McpAuthError.is(error) ? error.code : undefined
}

import { McpAuthError, publish, type TokenRecord } from '@mcpauth/core'
import { grantedRecord } from './access-token.ts'
import { authorizationCode, checkPkce } from './authorization-code.ts'
import type { AuthorizationContext } from './authorization-context.ts'
import { type AuthorizationWish, authorizationRequest, targetOf } from './authorization-request.ts'
import type { AuthorizationTarget } from './authorization-target.ts'
import type { ClientIdentity } from './client-identity.ts'
import type { Grant, GrantRequest } from './grants/grant.ts'
import { checkSecretIssuer, isAskedFor } from './issuer-binding.ts'
import { duringLogin, type Login, type OpenLogin } from './login.ts'
import { OAuthResponseError } from './oauth-response-error.ts'
import type { Settings } from './options.ts'
import { scopeCovers, scopeUnion, scopeWords } from './scope-selection.ts'
import type { HeldSession } from './session-store.ts'
import type { TokenResponse } from './token-response.ts'

/** How it ended. */
export type AuthorizationOutcome = { kind: 'adopted' | 'granted'; record: TokenRecord }

/** Two minutes for a grant in another process, and some. */
const recordDeadlineMs = 180_000

/**
 * A login by a person, by way of a browser.
 *
 * @throws `MCPAUTH_LOGIN_FAILED`, and what discovery, registration and the token endpoint throw
 */
export async function authorizeByLogin(
  context: AuthorizationContext,
  login: Login,
  wish: AuthorizationWish
): Promise<AuthorizationOutcome> {
  return await inTurn(context, wish, (stored) => loginWithRetry(context, login, wish, stored))
}

/** A grant with a person in it (a code to type elsewhere). */
export async function loginByGrant(context: AuthorizationContext, grant: Grant, wish: AuthorizationWish): Promise<AuthorizationOutcome> {
  return await inTurn(context, wish, async (stored) => {
    const target = await targetOf(context, wish, stored)
    const { ask, facts } = await authorizationRequest(context, wish, stored, target, {
      redirectUri: undefined,
      grantTypes: [grant.grantType, 'refresh_token'],
      registerAnew: wish.registerAnew === true
    })
    const answer = await grant(ask)
    return await writeGrant(context, (before) => grantedRecord(before, answer, facts(), context.settings.now()))
  })
}

/**
 * A person is asked under the `login` lock, so that of several processes one asks and the others take its token. The record's own lock is held only
 * to write: a person takes minutes.
 */
async function inTurn(
  { settings }: AuthorizationContext,
  wish: AuthorizationWish,
  login: (stored: TokenRecord | undefined) => Promise<TokenRecord>
): Promise<AuthorizationOutcome> {
  const { store, key, loginTimeoutMs, now } = settings
  const lock = { ...key, kind: 'login' } as const
  const waitingSinceMs = now()
  return await store.transact(
    lock,
    async (turn) => {
      const stored = await store.read(key)
      if (isEnough(stored, wish, settings)) return { kind: 'adopted', record: stored as TokenRecord }
      await checkLastTurn(turn, { sinceMs: waitingSinceMs, untilMs: now() }, key.url)
      publish('mcpauth:login:started', { server: key.url })
      try {
        const record = await login(stored)
        publish('mcpauth:login:finished', { server: key.url, issuer: record.issuer })
        return { kind: 'granted', record }
      } catch (error) {
        publish('mcpauth:login:failed', { server: key.url, code: McpAuthError.is(error) ? error.code : undefined })
        // A courtesy to those who wait; the login's own error is what counts. Who goes away has not said no: then the next is asked.
        if (!wish.abandoned?.aborted) await turn.write({ version: 1, login_failed_at_ms: now() }).catch(() => undefined)
        throw error
      }
    },
    { deadlineMs: loginTimeoutMs + recordDeadlineMs, ...(wish.signal ? { waiter: wish.signal } : {}) }
  )
}

/** Whoever waited while a person said no in another process does not ask again: forty processes would open forty tabs, one after the other (T19). */
async function checkLastTurn(turn: HeldSession, waited: { sinceMs: number; untilMs: number }, server: string): Promise<void> {
  const failedAtMs = (await turn.read())?.login_failed_at_ms
  // What failed in the future was written down by a clock that has been set right since.
  if (typeof failedAtMs !== 'number' || failedAtMs < waited.sinceMs || failedAtMs > waited.untilMs) return
  throw new McpAuthError('MCPAUTH_LOGIN_FAILED', `the login to ${server} that this one waited for has failed`, { hint: 'log in again' })
}

/** A registration that the server has forgotten is made anew once. */
async function loginWithRetry(
  context: AuthorizationContext,
  login: Login,
  wish: AuthorizationWish,
  stored: TokenRecord | undefined
): Promise<TokenRecord> {
  const target = await targetOf(context, wish, stored)
  checkPkce(target.authorizationServer, context.settings.dangerouslyAllowMissingPkceMetadata === true)
  const first = await oneLogin(context, login, wish, stored, target, wish.registerAnew === true)
  return first === 'forgotten' ? ((await oneLogin(context, login, wish, stored, target, true)) as TokenRecord) : first
}

async function oneLogin(
  context: AuthorizationContext,
  login: Login,
  wish: AuthorizationWish,
  stored: TokenRecord | undefined,
  target: AuthorizationTarget,
  registerAnew: boolean
): Promise<TokenRecord | 'forgotten'> {
  return await duringLogin(login, context.settings.client?.redirectUris, async (open) => {
    const { ask, facts, identity } = await authorizationRequest(context, wish, stored, target, {
      redirectUri: open.redirectUri,
      grantTypes: ['authorization_code', 'refresh_token'],
      registerAnew
    })
    const answer = await answerOf(ask, open, identity)
    if (answer === 'forgotten') return answer
    const record = await writeGrant(context, (before) => grantedRecord(before, answer, facts(), context.settings.now()))
    open.finish?.()
    return record
  })
}

async function answerOf(ask: GrantRequest, open: OpenLogin, identity: ClientIdentity): Promise<TokenResponse | 'forgotten'> {
  try {
    return await authorizationCode(ask, open)
  } catch (error) {
    const unknownClient = error instanceof OAuthResponseError && error.error === 'invalid_client'
    if (unknownClient && identity.source === 'stored') return 'forgotten'
    throw error
  }
}

/**
 * A grant that needs no person: under the record's lock, so that one process asks and the others take what it got. Discovery and registration come
 * before the lock, because registration takes one of its own.
 */
export async function authorizeByGrant(
  context: AuthorizationContext,
  grant: Grant,
  wish: AuthorizationWish
): Promise<AuthorizationOutcome> {
  const { store, key, now } = context.settings
  const stored = await store.read(key)
  const seed = await grant.seed?.(context.settings.env)
  if (isOfSeed(stored, seed) && isEnough(stored, wish, context.settings)) return { kind: 'adopted', record: stored as TokenRecord }
  const target = await targetOf(context, wish, stored)
  if (grant.bringsSecret) checkSecretIssuer(context.settings, stored?.issuer, target.authorizationServer.issuer)
  const { ask, facts } = await authorizationRequest(context, wish, stored, target, {
    redirectUri: undefined,
    grantTypes: [grant.grantType],
    registerAnew: wish.registerAnew === true,
    clientOptional: grant.clientOptional === true
  })
  // Before the lock too: a person takes minutes.
  await grant.prepare?.(ask, wish.asking)
  return await store.transact(
    key,
    async (held) => {
      const before = await held.read()
      if (isOfSeed(before, seed) && isEnough(before, wish, context.settings)) return { kind: 'adopted', record: before as TokenRecord }
      const answer = await grant(ask)
      return { kind: 'granted', record: await write(held, grantedRecord(before, answer, { ...facts(), seed }, now())) }
    },
    { deadlineMs: recordDeadlineMs }
  )
}

/** Whether what is stored makes asking needless: another process was faster. */
function isEnough(record: TokenRecord | undefined, { stale, addedScope, scope }: AuthorizationWish, settings: Settings): boolean {
  if (!record?.access_token || record.access_token === stale?.value || !isAskedFor(record, settings)) return false
  if (record.expires_at_unix !== undefined && record.expires_at_unix * 1000 <= settings.now()) return false
  // Where somebody has asked for that scope and was granted less, to ask again would bring no more.
  const askedFor = scopeUnion(record.requested_scope, record.scope)
  return scopeCovers(scopeWords(record.scope), scopeWords(addedScope)) && scopeCovers(scopeWords(askedFor), scopeWords(scope))
}

/** Tokens of another secret than the one there is now are somebody else's. */
function isOfSeed(record: TokenRecord | undefined, seed: string | undefined): boolean {
  return seed === undefined || record?.seed === seed
}

function writeGrant({ settings }: AuthorizationContext, make: (before: TokenRecord | undefined) => TokenRecord): Promise<TokenRecord> {
  return settings.store.transact(settings.key, async (held) => await write(held, make(await held.read())), { deadlineMs: recordDeadlineMs })
}

async function write(held: HeldSession, record: TokenRecord): Promise<TokenRecord> {
  await held.keep(record)
  return record
}

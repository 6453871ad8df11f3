import type { AuthChallenge, TokenRecord } from '@mcpauth/core'
import { type GrantFacts, hasTokens } from './access-token.ts'
import { type AuthorizationContext, grantRequest } from './authorization-context.ts'
import { type AuthorizationTarget, findTarget } from './authorization-target.ts'
import { type ClientIdentity, identify } from './client-identity.ts'
import { generateDpopJwk } from './dpop.ts'
import { dpopJwkOf } from './dpop-proofs.ts'
import { type GrantRequest, tokenEndpoint } from './grants/grant.ts'
import type { Settings } from './options.ts'
import { challengedScope, scopeUnion, selectScope } from './scope-selection.ts'

/** What is wanted, and why. */
export interface AuthorizationWish {
  /** Of the answer that made it necessary; empty when the user asked for it. */
  challenges: readonly AuthChallenge[]
  /** Whether the server has refused a request. */
  refused: boolean
  /** Widens what is asked for: a step-up (N29). */
  addedScope?: string | undefined
  /** In place of the option. */
  scope?: string | undefined
  /** The token that is no good; a stored one that differs is taken instead. */
  stale: { value: string } | undefined
  /** The registration that was kept is suspect. */
  registerAnew?: boolean
  /** Called before a person is asked. Absent: a grant asks nobody. */
  asking?: () => void
  signal?: AbortSignal | undefined
  /** Aborted when nobody wants it any more; `signal` also when a person takes too long. */
  abandoned?: AbortSignal | undefined
}

/** How it is asked for. */
interface Manner {
  /** undefined for grants without a browser. */
  redirectUri: string | undefined
  grantTypes: readonly string[]
  registerAnew: boolean
  /** The grant works without a client of its own. */
  clientOptional?: boolean
}

/** A request for a new grant, ready to be sent, and what is to be kept with its answer. */
export interface AuthorizationRequest {
  ask: GrantRequest
  /** Read once the answer is there. */
  facts: () => GrantFacts
  identity: ClientIdentity
}

/** Where to ask: what the challenges and the metadata of the resource say, and the issuer that is in use. */
export async function targetOf(
  { settings, discovery }: AuthorizationContext,
  wish: AuthorizationWish,
  stored: TokenRecord | undefined
): Promise<AuthorizationTarget> {
  const url = wish.challenges.map(({ parameters }) => parameters.resource_metadata).find((value) => value !== undefined)
  const loggedIn = hasTokens(stored)
  return await findTarget(
    settings,
    { ...discovery, signal: wish.signal },
    { url, allowForeign: !loggedIn, refused: wish.refused },
    stored?.issuer
  )
}

/**
 * Settles as whom, for which scope and with which key a target is asked. It may register a client, which takes a lock of its own.
 *
 * @throws `MCPAUTH_CLIENT_MISMATCH`, `MCPAUTH_REGISTRATION_FAILED`
 */
export async function authorizationRequest(
  context: AuthorizationContext,
  wish: AuthorizationWish,
  stored: TokenRecord | undefined,
  target: AuthorizationTarget,
  manner: Manner
): Promise<AuthorizationRequest> {
  const { settings, network, proofs } = context
  const { authorizationServer, resource } = target
  const scope = scopeOf(settings, wish, stored, target, manner)
  const identity = await identify(settings, {
    server: authorizationServer,
    network,
    scope,
    issuerInUse: issuerInUse(settings, stored),
    clientOptional: false,
    signal: wish.signal,
    ...manner
  })
  const { client, clientAuth, record } = identity
  const jwk = settings.dpop ? (dpopJwkOf(stored) ?? generateDpopJwk()) : undefined
  const dpop = jwk && proofs(jwk)
  const ask = grantRequest(context, { authorizationServer, client, clientAuth, resource, scope, dpop, signal: wish.signal })
  const facts = (): GrantFacts => ({
    issuer: authorizationServer.issuer,
    tokenEndpoint: tokenEndpoint(ask).href,
    resource,
    requestedScope: scope,
    client: record,
    dpopKey: jwk
  })
  return { ask, facts, identity }
}

function scopeOf(
  settings: Settings,
  wish: AuthorizationWish,
  stored: TokenRecord | undefined,
  { authorizationServer, metadata }: AuthorizationTarget,
  { grantTypes }: Manner
): string | undefined {
  // N29: what was requested before, granted or not, and what is challenged now.
  if (wish.addedScope !== undefined) return scopeUnion(stored?.requested_scope ?? settings.scope ?? stored?.scope, wish.addedScope)
  return selectScope({
    option: wish.scope ?? settings.scope,
    challenged: challengedScope(wish.challenges),
    resourceScopes: metadata?.scopesSupported,
    serverScopes: authorizationServer.scopes_supported,
    wantsRefresh: grantTypes.includes('refresh_token')
  })
}

/** Where the user's client was used last, as far as the record tells. One that was cleared has forgotten whose it was, and counts: a secret is at stake (T2). */
function issuerInUse({ client }: Settings, stored: TokenRecord | undefined): string | undefined {
  return stored?.client === undefined || stored.client.client_id === client?.clientId ? stored?.issuer : undefined
}

import { createHash } from 'node:crypto'
import type { KoaContextWithOIDC, Provider } from 'oidc-provider'

/** What an authorization server has done, counted where it did it. Holds no token. */
export interface Ledger {
  /** Successful refreshes. */
  refreshes: number
  /** Refused refreshes, for whatever reason. */
  refusedRefreshes: number
  /** Rotated refresh tokens that were used again after they had been replaced; each revokes its grant. */
  reuses: number
  /** Grants that are gone, by reuse or by revocation. */
  revokedGrants: number
  registrations: number
  /** Approved authorization requests. */
  logins: number
  /** Requests to the revocation endpoint that found their token or did not. */
  revocations: number
  /** Successful token requests by grant type. */
  grants: Record<string, number>
  /** How often each refresh token was presented, by a digest of the token. */
  uses: Map<string, number>
  /** The parameters of every token request that the server read, without token, code, verifier and secret. */
  tokenRequests: Array<Record<string, unknown>>
  reset(): void
}

const withheld = new Set(['refresh_token', 'code', 'code_verifier', 'client_secret', 'client_assertion', 'device_code'])

/** Fills a ledger from the provider's own events. */
export function keepLedger(provider: Provider): Ledger {
  const zero = { refreshes: 0, refusedRefreshes: 0, reuses: 0, revokedGrants: 0, registrations: 0, logins: 0, revocations: 0 }
  const fresh = (): Omit<Ledger, 'reset'> => ({ ...zero, grants: {}, uses: new Map(), tokenRequests: [] })
  const ledger: Ledger = { ...fresh(), reset: () => void Object.assign(ledger, fresh()) }

  function enter(ctx: KoaContextWithOIDC): Record<string, unknown> {
    const params = { ...ctx.oidc.params } as Record<string, unknown>
    ledger.tokenRequests.push(
      Object.fromEntries(Object.entries(params).filter(([name, value]) => value !== undefined && !withheld.has(name)))
    )
    if (typeof params.refresh_token === 'string') {
      const name = createHash('sha256').update(params.refresh_token).digest('base64url').slice(0, 12)
      ledger.uses.set(name, (ledger.uses.get(name) ?? 0) + 1)
    }
    return params
  }

  provider.on('grant.success', (ctx) => {
    const grantType = String(enter(ctx).grant_type)
    ledger.grants[grantType] = (ledger.grants[grantType] ?? 0) + 1
    if (grantType === 'refresh_token') ledger.refreshes += 1
  })
  provider.on('grant.error', (ctx, error) => {
    if (enter(ctx).grant_type !== 'refresh_token') return
    ledger.refusedRefreshes += 1
    if (error.error_detail === 'refresh token already used') ledger.reuses += 1
  })
  provider.on('grant.revoked', () => {
    ledger.revokedGrants += 1
  })
  provider.on('registration_create.success', () => {
    ledger.registrations += 1
  })
  provider.on('authorization.success', () => {
    ledger.logins += 1
  })
  return ledger
}

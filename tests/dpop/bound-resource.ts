import { createHash, randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { calculateJwkThumbprint, createRemoteJWKSet, EmbeddedJWK, type JWTPayload, jwtVerify } from 'jose'
import { type Origin, sendJson, startOrigin, type TokenIssuer } from '../servers/index.ts'

/** A protected resource that takes only DPoP-bound tokens, and checks all that RFC 9449 §4.3 and §7 ask for. The judge is jose. */
export interface BoundResource extends AsyncDisposable {
  readonly url: URL
  readonly origin: Origin
  /** Requests that passed every check. */
  readonly accepted: Array<{ thumbprint: string; path: string }>
  /** Why requests were refused, in order. */
  readonly refusals: string[]
  /** From now on wants another nonce in every proof. */
  rotateNonce(): void
  /** From now on refuses every token issued before. */
  expire(): void
}

/** @param toolScopes Paths below the resource that need a scope. */
export async function startBoundResource(issuer: TokenIssuer, scopedPaths: Record<string, string> = {}): Promise<BoundResource> {
  const origin = await startOrigin()
  const url = new URL('/mcp', origin.url)
  const keys = createRemoteJWKSet(new URL('/jwks', issuer.issuer))
  const accepted: BoundResource['accepted'] = []
  const refusals: string[] = []
  const seen = new Set<string>()
  let nonce: string | undefined
  let expiredUpTo = 0

  origin.mount('/.well-known/oauth-protected-resource/mcp', (_, response) =>
    sendJson(response, 200, {
      resource: url.href,
      authorization_servers: [issuer.issuer],
      scopes_supported: ['mcp:tools'],
      dpop_bound_access_tokens_required: true
    })
  )

  /** The first check that fails, as the challenge's error; undefined: all is well. */
  async function problem(request: IncomingMessage): Promise<{ error: string; why: string; scope?: string } | undefined> {
    const token = /^DPoP (\S+)$/.exec(request.headers.authorization ?? '')?.[1]
    if (token === undefined) return { error: '', why: `no token with the DPoP scheme` }
    let claims: JWTPayload
    let proof: JWTPayload
    let thumbprint: string
    try {
      claims = (await jwtVerify(token, keys, { issuer: issuer.issuer, audience: url.href, typ: 'at+jwt' })).payload
      const verified = await jwtVerify(String(request.headers.dpop), EmbeddedJWK, {
        typ: 'dpop+jwt',
        algorithms: ['ES256'],
        maxTokenAge: 60
      })
      proof = verified.payload
      thumbprint = await calculateJwkThumbprint(verified.protectedHeader.jwk as never)
    } catch (error) {
      return { error: 'invalid_dpop_proof', why: String(error) }
    }
    if (Number(claims.sequence) <= expiredUpTo) return { error: 'invalid_token', why: 'expired by the test' }
    if ((claims.cnf as { jkt?: string } | undefined)?.jkt !== thumbprint) return { error: 'invalid_token', why: 'bound to another key' }
    if (proof.ath !== createHash('sha256').update(token).digest('base64url')) return { error: 'invalid_dpop_proof', why: 'ath' }
    if (proof.htm !== request.method) return { error: 'invalid_dpop_proof', why: 'htm' }
    if (proof.htu !== new URL((request.url as string).split('?')[0] as string, origin.url).href)
      return { error: 'invalid_dpop_proof', why: 'htu' }
    if (proof.jti === undefined || seen.has(proof.jti)) return { error: 'invalid_dpop_proof', why: 'jti used before' }
    seen.add(proof.jti)
    if (nonce !== undefined && proof.nonce !== nonce) return { error: 'use_dpop_nonce', why: 'nonce' }
    const scope = scopedPaths[new URL(request.url as string, origin.url).pathname]
    if (scope !== undefined && !String(claims.scope).split(' ').includes(scope)) return { error: 'insufficient_scope', why: scope, scope }
    accepted.push({ thumbprint, path: request.url as string })
    return undefined
  }

  origin.mount('/mcp', async (request: IncomingMessage, response: ServerResponse) => {
    request.resume()
    const found = await problem(request)
    if (!found) return sendJson(response, 200, { ok: true })
    refusals.push(found.why)
    const parameters = [
      ...(found.error === '' ? [] : [`error="${found.error}"`]),
      ...(found.scope === undefined ? [] : [`scope="${found.scope}"`]),
      `resource_metadata="${new URL('/.well-known/oauth-protected-resource/mcp', origin.url)}"`,
      'algs="ES256"'
    ]
    const fresh = found.error === 'use_dpop_nonce' ? { 'dpop-nonce': nonce as string } : {}
    const status = found.error === 'insufficient_scope' ? 403 : 401
    sendJson(response, status, { error: found.error }, { 'www-authenticate': `DPoP ${parameters.join(', ')}`, ...fresh })
  })

  return {
    url,
    origin,
    accepted,
    refusals,
    rotateNonce() {
      nonce = randomUUID()
    },
    expire() {
      expiredUpTo = issuer.issuedTokens
    },
    [Symbol.asyncDispose]: origin.close
  }
}

import type { AuthChallenge, TokenRecord } from '@mcpauth/core'
import { decodeProtectedHeader } from 'jose'
import { describe, expect, test } from 'vitest'
import { type AuthorizationWish, authorizationRequest, targetOf } from '../src/authorization-request.ts'
import type { AuthorizationTarget } from '../src/authorization-target.ts'
import { generateDpopJwk } from '../src/dpop.ts'
import type { OAuthOptions } from '../src/options.ts'
import { paper, paperContext } from './paper-servers.ts'

const wished = (more: Partial<AuthorizationWish> = {}): AuthorizationWish => ({ challenges: [], refused: true, stale: undefined, ...more })
const challenge = (parameters: Record<string, string>): AuthChallenge => ({ scheme: 'bearer', parameters })

const target: AuthorizationTarget = {
  authorizationServer: {
    issuer: paper.issuer,
    token_endpoint: `${paper.issuer}/token`,
    registration_endpoint: `${paper.issuer}/register`
  },
  resource: paper.mcp,
  metadata: { resource: paper.mcp, authorizationServers: [paper.issuer] }
}

interface Given {
  options?: OAuthOptions
  wish?: Partial<AuthorizationWish>
  stored?: TokenRecord
  at?: Partial<AuthorizationTarget>
  grantTypes?: readonly string[]
}

async function request({ options, wish, stored, at, grantTypes = ['client_credentials'] }: Given = {}) {
  const manner = { redirectUri: undefined, grantTypes, registerAnew: false }
  return await authorizationRequest(paperContext(options), wished(wish), stored, { ...target, ...at }, manner)
}

describe('T2: metadata elsewhere, named by one of several challenges,', () => {
  const elsewhere = 'https://elsewhere.example/resource'
  const own = 'https://mcp.example.com/.well-known/oauth-protected-resource/mcp'

  test.each<[string, string, TokenRecord | undefined]>([
    ['is read where nobody has ever logged in', elsewhere, undefined],
    ['is read after a logout', elsewhere, { generation: 3 }],
    ['is not read while there is an access token', own, { access_token: 'there' }],
    ['is not read while there is a refresh token', own, { refresh_token: 'there' }]
  ])('%s', async (_name, first, stored) => {
    const context = paperContext()
    const read: string[] = []
    context.network.readMetadata = async (url) => void read.push(url.href)
    const challenges = [challenge({ scope: 'a' }), challenge({ resource_metadata: elsewhere })]
    await targetOf(context, wished({ challenges }), stored)
    expect(read[0]).toBe(first)
  })
})

test('N42: endpoints that nobody speaks of are taken only of a server that has refused a request', async () => {
  const context = paperContext()
  context.network.readMetadata = async () => undefined
  const { authorizationServer } = await targetOf(context, wished(), undefined)
  expect(authorizationServer.token_endpoint).toBe('https://mcp.example.com/token')
  await expect(targetOf(context, wished({ refused: false }), undefined)).rejects.toMatchObject({ code: 'MCPAUTH_DISCOVERY_FAILED' })
})

test('a client is needed, unless the grant says otherwise', async () => {
  const at = { authorizationServer: { issuer: paper.issuer, token_endpoint: `${paper.issuer}/token` } }
  await expect(request({ at })).rejects.toMatchObject({ code: 'MCPAUTH_REGISTRATION_FAILED' })
})

describe('T2: the user’s client, of which the user does not say where it belongs,', () => {
  const mine = { client_id: 'mine' } as TokenRecord['client']
  const old = 'https://old.example.com'

  test.each<[string, TokenRecord | undefined]>([
    ['has been used nowhere yet', undefined],
    ['was used at this issuer', { issuer: paper.issuer, client: mine } as TokenRecord],
    ['was not used at another, but another client was', { issuer: old, client: { client_id: 'registered' } } as TokenRecord]
  ])('is used where it %s', async (_name, stored) => {
    const { identity } = await request({ options: { client: { clientId: 'mine' } }, ...(stored ? { stored } : {}) })
    expect(identity).toMatchObject({ source: 'given', record: { client_id: 'mine' } })
  })

  test.each<[string, TokenRecord]>([
    ['was used at another issuer', { issuer: old, client: mine } as TokenRecord],
    ['may have been used at another, of which only the issuer is known', { issuer: old }]
  ])('is not used where it %s', async (_name, stored) => {
    await expect(request({ options: { client: { clientId: 'mine' } }, stored })).rejects.toMatchObject({ code: 'MCPAUTH_CLIENT_MISMATCH' })
  })

  test('is none where the user has none: a client is registered here, whatever was used elsewhere', async () => {
    const { identity } = await request({ stored: { issuer: old, client: mine } as TokenRecord })
    expect(identity).toMatchObject({ source: 'registered', record: { client_id: 'client-1', issuer: paper.issuer } })
  })
})

describe('N38: the key of a token that is to be bound', () => {
  const dpop_key = generateDpopJwk()

  test('is new where there is none yet, and is kept with the token', async () => {
    const { ask, facts } = await request({ options: { dpop: true } })
    const proof = ask.dpop?.proof({ method: 'POST', url: new URL(`${paper.issuer}/token`) }) as string
    expect(facts().dpopKey).toMatchObject(decodeProtectedHeader(proof).jwk as object)
  })

  test('is the one before it', async () => {
    const { facts } = await request({ options: { dpop: true }, stored: { dpop_key } })
    expect(facts().dpopKey).toEqual(dpop_key)
  })

  test('is left behind where the user does not want it any more', async () => {
    const { ask, facts } = await request({ stored: { dpop_key } })
    expect([ask.dpop, facts().dpopKey]).toEqual([undefined, undefined])
  })
})

describe('the scope', () => {
  const listing: Partial<AuthorizationTarget> = {
    authorizationServer: { ...target.authorizationServer, scopes_supported: ['offline_access'] },
    metadata: { resource: paper.mcp, authorizationServers: [paper.issuer], scopesSupported: ['listed'] }
  }
  const challenges = [challenge({ scope: 'challenged' })]

  test.each<[string, string | undefined, Given]>([
    ['N17: of a first request is the challenge’s', 'challenged', { wish: { challenges }, at: listing }],
    ['N17: of a first request is all that the resource lists, where there is no challenge', 'listed', { at: listing }],
    ['of a first request is the user’s', 'mine', { wish: { challenges }, options: { scope: 'mine' } }],
    ['of a login that somebody asked for is theirs', 'theirs', { wish: { challenges, scope: 'theirs' }, options: { scope: 'mine' } }],
    ['N42: of a server without metadata is none', undefined, { at: { metadata: undefined } }],
    [
      'N27: has offline_access where a refresh token is of use',
      'listed offline_access',
      { at: listing, grantTypes: ['x', 'refresh_token'] }
    ],
    [
      'N29: of a step-up is wider than what was requested',
      'a b',
      { wish: { addedScope: 'b' }, stored: { requested_scope: 'a', scope: 'c' } }
    ],
    [
      'N29: of a step-up is wider than what the user wants, where nobody knows what was requested',
      'mine b',
      { wish: { addedScope: 'b' }, options: { scope: 'mine' }, stored: { scope: 'c' } }
    ],
    [
      'N29: of a step-up is wider than what was granted, where nobody knows more',
      'c b',
      { wish: { addedScope: 'b' }, stored: { scope: 'c' } }
    ],
    ['N29: of a step-up is what is challenged, where nobody knows anything', 'b', { wish: { addedScope: 'b' } }]
  ])('%s', async (_name, scope, given) => {
    const { ask, facts } = await request(given)
    expect([ask.scope, facts().requestedScope]).toEqual([scope, scope])
  })
})

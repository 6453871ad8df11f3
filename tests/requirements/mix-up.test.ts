// The mix-up attack (RFC 9207 §1), with a real authorization server in the part of the honest one.
import { browserLogin, oauthTokens } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { expect, test } from 'vitest'
import { type AuthorizationServer, approve, startAuthorizationServer, startMcpServerV2 } from '../servers/index.ts'
import { startAttacker } from './attacker.ts'

/** A browser: the attacker's page sends it on, and the person allows at the server they know. */
function personLedOn(callbacks: URL[], change: (callback: URL) => void = () => undefined): ReturnType<typeof browserLogin> {
  const open = async (url: URL): Promise<void> => {
    const sentOn = new URL((await fetch(url, { redirect: 'manual' })).headers.get('location') as string)
    const callback = await approve(sentOn, { followCallback: false })
    change(callback)
    callbacks.push(callback)
    await (await fetch(callback)).text()
  }
  return browserLogin({ open, print: () => undefined })
}

/** Registers at the honest server for the victim's redirect URI, and sends the victim's browser there with the victim's own request. */
async function mixUp(honest: AuthorizationServer): Promise<Awaited<ReturnType<typeof startAttacker>>> {
  return await startAttacker({
    register: async (body) => {
      const answer = await fetch(`${honest.issuer}/reg`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
      return (await answer.json()) as object
    },
    authorize: (request) => {
      const sentOn = new URL('/auth', honest.issuer)
      sentOn.search = request.search
      return sentOn
    }
  })
}

test.each([undefined, true])(
  'T3 N20: the code of an honest server does not reach the one that the login began at (iss advertised: %s)',
  async (advertised) => {
    await using honest = await startAuthorizationServer()
    await using attacker = await mixUp(honest)
    attacker.metadata.authorization_response_iss_parameter_supported = advertised
    await using server = await startMcpServerV2({ authorizationServer: { issuer: attacker.issuer, issuedTokens: 0 } })
    const callbacks: URL[] = []
    const tokens = oauthTokens(server.url, { login: personLedOn(callbacks), store: memoryStore() })
    await expect(tokens.login()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
    // The attack went all the way: the honest server issued a code and named itself beside it.
    expect(honest.ledger.logins).toBe(1)
    const [callback] = callbacks as [URL]
    expect(callback.searchParams.get('iss')).toBe(honest.issuer)
    expect(callback.searchParams.get('code')).toBeTruthy()
    expect(attacker.at('/token')).toEqual([])
    expect(attacker.transcript()).not.toContain(callback.searchParams.get('code'))
    expect(await tokens.status()).toMatchObject({ loggedIn: false })
  }
)

test('T3: the control: where the honest server names no issuer, nothing can tell, and the attacker gets the code', async () => {
  await using honest = await startAuthorizationServer()
  await using attacker = await mixUp(honest)
  await using server = await startMcpServerV2({ authorizationServer: { issuer: attacker.issuer, issuedTokens: 0 } })
  const login = personLedOn([], (callback) => callback.searchParams.delete('iss'))
  const tokens = oauthTokens(server.url, { login, store: memoryStore() })
  await tokens.login().catch(() => undefined)
  expect(attacker.at('/token')).toHaveLength(1)
})

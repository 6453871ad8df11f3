import { authFetch } from '@mcpauth/core'
import { withHeaders } from '@mcpauth/header-injector'
import { withMtls } from '@mcpauth/mtls'
import { Agent } from 'undici'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { canary, credentialLayers } from './credential-layers.ts'
import { type Arrival, type RedirectingServers, redirectFrom, startRedirectingServers } from './redirecting-servers.ts'

// The server that redirects is the attacker here: what it would gain is not a secret, but a request of its choice that another server takes for the user's.

let servers: RedirectingServers
beforeAll(async () => {
  servers = await startRedirectingServers()
})
afterAll(() => servers.close())
beforeEach(() => {
  servers.arrivals.length = 0
})

const call = { method: 'POST', body: '{"method":"tools/call","params":{"name":"delete_everything"}}' }

/** Where the redirect comes from, and the server with the credential that it leads to. */
const ways: Array<{ title: string; attacker: () => string; victim: () => string }> = [
  { title: 'another origin', attacker: () => servers.otherPort, victim: () => servers.plain },
  { title: 'another path of its origin', attacker: () => servers.plain.replace('/mcp', '/evil'), victim: () => servers.plain }
]

function at(server: string, arrivals: Arrival[]): Arrival[] {
  const { origin, pathname } = new URL(server)
  return arrivals.filter((arrival) => arrival.origin === origin && arrival.path === pathname)
}

function carries({ rawHeaders }: Arrival, names: readonly string[]): boolean {
  return rawHeaders.some((text) => text.includes(canary) || names.includes(text.toLowerCase()))
}

describe.each(ways)('T6: a redirect from $title', ({ attacker, victim }) => {
  describe.each([true, false])('whose server has layers of its own: %s', (hasLayers) => {
    test.each(credentialLayers.map((credential) => [credential.title, credential] as const))(
      'brings its target no credential: %s',
      async (_title, { make, names }) => {
        const own = hasLayers ? [withHeaders(attacker(), { 'X-Of-Attacker': 'mine' })] : []
        await using fetch = authFetch([...own, make(victim())].flat())
        for (const status of [301, 302, 303, 307, 308])
          await (
            await fetch(redirectFrom(attacker(), status, victim()), { ...call, headers: { 'content-type': 'application/json' } })
          ).text()
        const led = at(victim(), servers.arrivals)
        expect(led).toHaveLength(5)
        expect(led.filter((arrival) => carries(arrival, names))).toEqual([])
        // The layers do their work when the caller means that server.
        await (await fetch(victim(), call)).text()
        expect(at(victim(), servers.arrivals).filter((arrival) => carries(arrival, names))).toHaveLength(1)
      }
    )
  })
})

test('T6: a redirect to another server shows it no client certificate either', async () => {
  const dispatcher = new Agent({ connect: { ca: servers.ca } })
  const certificate = withMtls(servers.secure, { serverName: 'nobody.example' })
  await using fetch = authFetch(certificate, { dispatcher: dispatcher as never })
  // Through the layer's own connection no handshake would succeed; the redirect does not take that way.
  await expect(fetch(servers.secure, call)).rejects.toMatchObject({ code: 'MCPAUTH_TLS' })
  expect(await (await fetch(redirectFrom(servers.plain, 307, servers.secure), call)).text()).toBe('landed')
  await dispatcher.close()
})

test('a redirect within one server keeps its credential, and one to another origin and back too', async () => {
  const environment = { KEY: `${canary}-key` }
  await using fetch = authFetch(withHeaders(servers.plain, { 'X-API-Key': { env: 'KEY' } }, { env: environment }))
  const below = `${servers.plain}/below`
  await (await fetch(redirectFrom(servers.plain, 307, below), call)).text()
  expect(at(below, servers.arrivals).map((arrival) => carries(arrival, ['x-api-key']))).toEqual([true])
  await (await fetch(redirectFrom(servers.plain, 307, redirectFrom(servers.otherPort, 307, below)), call)).text()
  expect(servers.arrivals.map((arrival) => carries(arrival, ['x-api-key']))).toEqual([true, true, true, false, true])
})

import { createServer } from 'node:http'
import type { AddressInfo, LookupFunction } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { enterpriseAuthorization } from '../src/index.ts'
import { roadNetwork } from '../src/road-network.ts'
import { type TrustedNetworks, trustedNetworks } from '../src/trusted-networks.ts'
import { authorizationServer, scene } from './small-servers.ts'

const server = new URL('https://mcp.example.com/mcp')
const post = { method: 'POST' as const, headers: {}, body: 'a=b' }
const refused = { code: 'MCPAUTH_ADDRESS_REFUSED' }

/** A server of this machine, and the port it is at. */
async function listening(): Promise<{ port: number; hits: string[] }> {
  const hits: string[] = []
  const listener = createServer((request, response) => {
    hits.push(request.url as string)
    response.end('{}')
  })
  await new Promise<void>((done) => listener.listen(0, '127.0.0.1', done))
  onTestFinished(() => void listener.close())
  return { port: (listener.address() as AddressInfo).port, hits }
}

/** The MCP server is public; everything else is on this machine. */
const toThisMachine: LookupFunction = (host, options, callback) => {
  const address = host === server.hostname ? '93.184.216.34' : '127.0.0.1'
  if (options.all) callback(null, [{ address, family: 4 }])
  else callback(null, address, 4)
}

function networks(options: Parameters<typeof trustedNetworks>[0]): TrustedNetworks {
  return trustedNetworks(options, roadNetwork(undefined), toThisMachine)
}

test('N34: an endpoint that the user named may be on a private network; what metadata says may not', async () => {
  const { port, hits } = await listening()
  const tokenUrl = `http://idp.example.com:${port}/token`
  const trusting = networks({ server, dangerouslyAllowHttp: true, tokenUrl })
  expect((await trusting.network.send(new URL(tokenUrl), 'the token endpoint', post)).status).toBe(200)
  // The same host, but another URL than the one that was named.
  await expect(trusting.network.send(new URL('/other', tokenUrl), 'the token endpoint', post)).rejects.toMatchObject(refused)
  await expect(trusting.network.readMetadata(new URL(tokenUrl), 'the metadata')).rejects.toMatchObject(refused)
  const guarded = networks({ server, dangerouslyAllowHttp: true })
  await expect(guarded.network.send(new URL(tokenUrl), 'the token endpoint', post)).rejects.toMatchObject(refused)
  expect(hits).toEqual(['/token'])
})

test.each(['tokenUrl', 'registrationUrl', 'revocationUrl', 'deviceAuthorizationUrl'])(
  'N34: a %s of the user passes, also as an address',
  async (name) => {
    const { port, hits } = await listening()
    const url = `http://127.0.0.1:${port}/endpoint`
    expect((await networks({ server, [name]: url }).network.send(new URL(url), 'x', post)).status).toBe(200)
    await expect(networks({ server }).network.send(new URL(url), 'x', post)).rejects.toMatchObject(refused)
    expect(hits).toEqual(['/endpoint'])
  }
)

test('N31: http stays for this machine, whoever named it', async () => {
  const tokenUrl = 'http://10.0.0.1/token'
  await expect(networks({ server, tokenUrl }).network.send(new URL(tokenUrl), 'x', post)).rejects.toMatchObject(refused)
  await expect(networks({ server }).networkFrom(new URL(tokenUrl)).network.send(new URL(tokenUrl), 'x', post)).rejects.toMatchObject(
    refused
  )
})

test('T4: the network from one root is made once, so that what its name led to first goes on counting', () => {
  const { networkFrom } = networks({ server })
  expect(networkFrom(new URL('https://idp.example.com/'))).toBe(networkFrom(new URL('https://idp.example.com/')))
  expect(networkFrom(new URL('https://idp.example.com/'))).not.toBe(networkFrom(new URL('https://idp.example.com/other')))
})

test('N34 N37: the identity provider that the user named is reached, whatever the MCP server may name', async () => {
  await using world = await scene()
  await using provider = await authorizationServer()
  provider.tokenFields = { issued_token_type: 'urn:ietf:params:oauth:token-type:id-jag' }
  const asked: string[] = []
  const grant = enterpriseAuthorization({
    issuer: provider.origin,
    tokenUrl: `${provider.origin}/token`,
    client: { clientId: 'agent-at-idp' },
    idToken: () => 'id-token'
  })
  const watched = Object.assign(
    (ask: Parameters<typeof grant>[0]) =>
      grant({
        ...ask,
        networkFrom: (root) => {
          asked.push(root.href)
          return ask.networkFrom(root)
        }
      }),
    { grantType: grant.grantType }
  )
  expect(await world.post(world.fetchWith({ grant: watched, client: { clientId: 'agent', clientSecret: () => 'secret-of-agent' } }))).toBe(
    200
  )
  expect(asked).toEqual([`${provider.origin}/token`])
  expect(provider.at('/token')).toHaveLength(1)
})

// TestGen, an MCP server as it is documented: registration at /oauth/register answers with client_secret_basic, tokens are at /oauth/token, and a durable
// refresh token serves CI.
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { ClientRecord } from '@mcpauth/core'
import { browserLogin, oauthTokens } from '@mcpauth/oauth'
import {
  type AuthorizationServer,
  startAuthorizationServer,
  startMcpServerV1,
  startMcpServerV2,
  type TestMcpServer
} from '@mcpauth/tests/servers'
import { memoryStore } from '@mcpauth/token-store'
import { expect, onTestFinished, test } from 'vitest'

const job = resolve('tests/oauth/ci-job.ts')

interface Testgen {
  as: AuthorizationServer
  mcp: TestMcpServer
  /** A person logs in on their own machine, and copies what CI needs. */
  copiedByHand(): Promise<Record<string, string>>
}

async function testgen(sdk: 'v1' | 'v2'): Promise<Testgen> {
  const as = await startAuthorizationServer({
    routes: { registration: '/oauth/register', token: '/oauth/token' },
    clientAuthMethods: ['client_secret_basic']
  })
  const mcp = await (sdk === 'v1' ? startMcpServerV1 : startMcpServerV2)({ authorizationServer: as })
  onTestFinished(async () => {
    await mcp[Symbol.asyncDispose]()
    await as[Symbol.asyncDispose]()
  })
  return {
    as,
    mcp,
    async copiedByHand() {
      const store = memoryStore()
      const login = browserLogin({ open: async (url) => void (await as.approve(url)), print: () => undefined })
      await oauthTokens(mcp.url, { login, store }).login()
      const { client, refresh_token } = (await store.read({ kind: 'server', url: mcp.url.href })) ?? {}
      const { client_id, client_secret, token_endpoint_auth_method } = client as ClientRecord
      expect(token_endpoint_auth_method).toBe('client_secret_basic')
      return { TESTGEN_CLIENT_ID: client_id, TESTGEN_CLIENT_SECRET: String(client_secret), TESTGEN_REFRESH_TOKEN: String(refresh_token) }
    }
  }
}

/** A CI job in a process of its own; its folder is what is cached between runs. */
async function ciJob(sdk: 'v1' | 'v2', { mcp }: Testgen): Promise<(variables: Record<string, string>) => Promise<unknown>> {
  const folder = await mkdtemp(join(tmpdir(), 'mcpauth-ci-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const env = { PATH: process.env.PATH, CI: 'true', HOME: folder, MCPAUTH_AUTH_DIR: join(folder, 'auth'), SDK: sdk, MCP_URL: mcp.url.href }
  return async (variables) => {
    const { stdout } = await promisify(execFile)(process.execPath, [job], { env: { ...env, ...variables } })
    // Whatever the next run does, it needs a new access token.
    mcp.expire()
    return JSON.parse(stdout)
  }
}

test.each(['v1', 'v2'] as const)(
  'SDK %s: a person logs in once; CI lives on the refresh token in its variables, on the rotated one once there is one, and on the variable again when it changes',
  async (sdk) => {
    const world = await testgen(sdk)
    const { as } = world
    const variables = await world.copiedByHand()
    expect(as.ledger).toMatchObject({ registrations: 1, logins: 1, refreshes: 0 })
    const run = await ciJob(sdk, world)

    const caller = { sub: 'alice', clientId: variables.TESTGEN_CLIENT_ID }
    expect(await run(variables)).toMatchObject(caller)
    expect(await run(variables)).toMatchObject(caller)
    expect(await run(variables)).toMatchObject(caller)
    // Three tokens, each used once: the variable's, and two that were kept from run to run.
    expect(as.ledger).toMatchObject({ refreshes: 3, reuses: 0, refusedRefreshes: 0, registrations: 1 })
    expect([...as.ledger.uses.values()]).toEqual([1, 1, 1])

    const renewed = await world.copiedByHand()
    expect(await run(renewed)).toMatchObject({ sub: 'alice', clientId: renewed.TESTGEN_CLIENT_ID })
    expect(as.ledger).toMatchObject({ refreshes: 4, reuses: 0, refusedRefreshes: 0, registrations: 2, logins: 2 })

    const posted = as.requests.filter(({ method, path }) => method === 'POST' && path.startsWith('/oauth/'))
    expect(new Set(posted.map(({ path }) => path))).toEqual(new Set(['/oauth/register', '/oauth/token']))
    const proofs = posted.filter(({ path }) => path === '/oauth/token').map(({ headers }) => headers.authorization)
    const proof = ({ TESTGEN_CLIENT_ID: id, TESTGEN_CLIENT_SECRET: secret }: Record<string, string>): string =>
      `Basic ${btoa(`${id}:${secret}`)}`
    expect(proofs).toEqual([...Array(4).fill(proof(variables)), ...Array(2).fill(proof(renewed))])
  }
)

// The story of mcpauth on real servers, on loopback. Each step asserts what it says; the exit code is 0 only if all of them held.
//   ./dev demo             a scripted person approves the logins
//   ./dev demo --browser   your browser opens, and you approve
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { withBearer } from '@mcpauth/bearer-env'
import { authFetch } from '@mcpauth/core'
import { withHeaders } from '@mcpauth/header-injector'
import { browserLogin, type Login, oauthTokens, withOAuth } from '@mcpauth/oauth'
import { createRedactor } from '@mcpauth/redactor'
import {
  type AuthorizationServer,
  type McpServerV1,
  startAuthorizationServer,
  startMcpServerV1,
  startMcpServerV2,
  startRecordingServer,
  type TestMcpServer
} from '@mcpauth/tests/servers'
import { collectSecrets, type KnownSecrets } from './known-secrets.ts'
import { connect, type Sdk } from './mcp-clients.ts'
import { requestLines, requestLog } from './request-log.ts'
import { openTerminal, type Terminal } from './terminal.ts'
import { startWorker } from './workers.ts'

/** What the steps hand on to each other. */
interface Stage {
  readonly terminal: Terminal
  readonly secrets: KnownSecrets
  readonly cache: string
  readonly browser: boolean
  readonly as: AuthorizationServer
  readonly v1: McpServerV1
  readonly v2: TestMcpServer
  /** Servers of later steps, for the log at the end. */
  readonly others: TestMcpServer[]
}

const { values: flags } = parseArgs({ options: { browser: { type: 'boolean', default: false } } })
const terminal = openTerminal()
const cache = await mkdtemp(join(tmpdir(), 'mcpauth-demo-'))
process.env.MCPAUTH_AUTH_DIR = cache
const opened: AsyncDisposable[] = []
try {
  await tellStory()
} catch (error) {
  console.error(`\nThe demo failed: ${error instanceof Error ? error.stack : String(error)}`)
  process.exitCode = 1
} finally {
  for (const resource of opened.reverse()) await resource[Symbol.asyncDispose]()
  await rm(cache, { recursive: true, force: true })
}

/** Kept open until the story ends. (Node 22 does not know `await using`.) */
function closeLater<T extends AsyncDisposable>(resource: T): T {
  opened.push(resource)
  return resource
}

async function tellStory(): Promise<void> {
  terminal.step('Real servers, on this machine')
  const as = closeLater(await startAuthorizationServer())
  const v1 = closeLater(await startMcpServerV1({ authorizationServer: as }))
  const v2 = closeLater(await startMcpServerV2({ authorizationServer: as }))
  terminal.seen(`authorization server (oidc-provider) at ${as.issuer}: refresh tokens rotate, using one twice revokes the grant`)
  terminal.seen(`protected MCP server (SDK v1, stateful) at ${v1.url}`)
  terminal.seen(`protected MCP server (SDK v2, stateless) at ${v2.url}`)
  await showThatTheyRefuse([v1, v2])

  const stage: Stage = { terminal, secrets: collectSecrets(), cache, browser: flags.browser, as, v1, v2, others: [] }
  await logIn(stage)
  await callFromNewProcesses(stage)
  await surviveExpiry(stage)
  await surviveExpiryInEightProcesses(stage)
  await useStaticToken(stage)
  await followNoCredentialElsewhere(stage)
  await printLogWithoutSecrets(stage)
  console.log('\nAll eight steps held.')
}

async function showThatTheyRefuse(servers: readonly TestMcpServer[]): Promise<void> {
  for (const { url } of servers) {
    const { status, headers } = await fetch(url, { method: 'POST', body: '{}' })
    assert.equal(status, 401)
    terminal.detail(`without a token: 401, WWW-Authenticate: ${headers.get('www-authenticate')}`)
  }
}

async function logIn({ terminal, secrets, cache, browser, as, v1, v2 }: Stage): Promise<void> {
  terminal.step(`Log in once per server${browser ? ': your browser opens, please allow' : ' (a scripted person allows it)'}`)
  for (const [name, server] of [
    ['v1', v1],
    ['v2', v2]
  ] as const) {
    const since = performance.timeOrigin + performance.now()
    const tokens = oauthTokens(server.url, { login: loginOf(as, browser) })
    await tokens.login()
    await secrets.addCache(cache)
    terminal.seen(`logged in to the ${name} server; what the servers saw:`)
    for (const line of requestLines([server.origin.requests, as.requests], since)) terminal.detail(line)
  }
  assert.equal(as.ledger.logins, 2)
  assert.ok(as.ledger.registrations === 1 || as.ledger.registrations === 2)
  assert.ok(as.ledger.tokenRequests.every(({ resource }) => resource === v1.url.href || resource === v2.url.href))
  terminal.seen(
    `the ledger: registrations ${as.ledger.registrations}, logins ${as.ledger.logins}, each token for its own server (RFC 8707)`
  )
}

/** The person's browser, or a script that presses the button on the same page. */
function loginOf(as: AuthorizationServer, browser: boolean): Login {
  if (browser) return browserLogin()
  return browserLogin({ open: async (url) => void (await as.approve(url)), print: () => undefined, timeoutMs: 20_000 })
}

async function callFromNewProcesses({ terminal, as, v1, v2 }: Stage): Promise<void> {
  terminal.step('New processes that have only the cache: authFetch(withOAuth(url)) and nothing else')
  for (const [sdk, server, answers] of [
    ['v1', v1, 'json'],
    ['v1', v1, 'sse'],
    ['v2', v2, 'json']
  ] as const) {
    v1.answers = answers
    const worker = closeLater(startWorker(sdk, server.url, 1))
    await worker.ready
    worker.release()
    const [answer = ''] = await worker.answers
    assert.equal(JSON.parse(answer).sub, 'alice')
    const how = sdk === 'v1' ? `answered as ${answers === 'json' ? 'JSON' : 'SSE'}` : 'stateless'
    terminal.seen(`process ${worker.pid}, StreamableHTTPClientTransport ${sdk}, ${how}: whoami → ${answer}`)
  }
  assert.equal(as.ledger.logins, 2)
  assert.equal(as.ledger.refreshes, 0)
  terminal.seen('the ledger: no further login, no refresh')
}

async function surviveExpiry({ terminal, secrets, cache, as, v1, v2 }: Stage): Promise<void> {
  terminal.step('The access token expires')
  for (const [sdk, server] of [
    ['v1', v1],
    ['v2', v2]
  ] as const) {
    const client = closeLater(await connect(sdk, server.url, withOAuth(server.url)))
    assert.equal(await client.call('echo', { text: 'before' }), 'before')
    as.ledger.reset()
    const refusedBefore = server.refusals.POST
    server.expire()
    assert.equal(await client.call('echo', { text: 'after' }), 'after')
    const refused = server.refusals.POST - refusedBefore
    assert.equal(refused, 1)
    assert.equal(as.ledger.refreshes, 1)
    assert.equal(as.ledger.reuses, 0)
    terminal.seen(`${sdk}: the server answered ${refused} × 401, the call succeeded; the ledger: ${as.ledger.refreshes} refresh`)
  }
  await secrets.addCache(cache)
}

async function surviveExpiryInEightProcesses({ terminal, secrets, cache, as, v1 }: Stage): Promise<void> {
  terminal.step('Eight processes share the cache, the token expires, forty calls at once')
  const workers = Array.from({ length: 8 }, (_, n) => closeLater(startWorker(n % 2 === 0 ? 'v1' : 'v2', v1.url, 5)))
  await Promise.all(workers.map(({ ready }) => ready))
  terminal.seen(`${workers.length} processes are connected (${workers.map(({ pid }) => pid).join(', ')})`)
  as.ledger.reset()
  const refusedBefore = v1.refusals.POST
  v1.expire()
  for (const worker of workers) worker.release()
  const answers = (await Promise.all(workers.map(({ answers }) => answers))).flat()
  assert.equal(answers.filter((answer) => JSON.parse(answer).sub === 'alice').length, 40)
  terminal.seen(`${answers.length} of 40 calls succeeded, after ${v1.refusals.POST - refusedBefore} × 401`)
  assert.equal(as.ledger.refreshes, 1)
  assert.equal(as.ledger.reuses, 0)
  assert.equal(as.ledger.revokedGrants, 0)
  terminal.seen(`the ledger: ${as.ledger.refreshes} refresh, ${as.ledger.reuses} reuses, ${as.ledger.revokedGrants} grants revoked`)
  await secrets.addCache(cache)
}

async function useStaticToken({ terminal, secrets, others }: Stage): Promise<void> {
  terminal.step('The same servers with a static token from the environment, and headers')
  const token = randomBytes(24).toString('base64url')
  const key = randomBytes(24).toString('base64url')
  secrets.add(token, key)
  process.env.DEMO_TOKEN = token
  process.env.DEMO_API_KEY = key
  const protection = { bearerToken: token, requiredHeaders: { 'x-tenant': 'acme', 'x-api-key': key } }
  const starts: Array<[Sdk, TestMcpServer]> = [
    ['v1', closeLater(await startMcpServerV1(protection))],
    ['v2', closeLater(await startMcpServerV2(protection))]
  ]
  for (const [sdk, server] of starts) {
    others.push(server)
    const client = closeLater(
      await connect(sdk, server.url, [
        withHeaders(server.url, { 'X-Tenant': 'acme', 'X-API-Key': { env: 'DEMO_API_KEY' } }),
        withBearer(server.url, { env: 'DEMO_TOKEN' })
      ])
    )
    assert.equal(await client.call('echo', { text: 'static' }), 'static')
    const complete = server.requests.filter(({ headers }) => headers.authorization === `Bearer ${token}` && headers['x-api-key'] === key)
    assert.equal(complete.length, server.requests.length)
    terminal.seen(`${sdk}: the call succeeded; all ${complete.length} requests carried the token, X-Tenant and X-API-Key`)
  }
}

async function followNoCredentialElsewhere({ terminal, secrets, v1, others }: Stage): Promise<void> {
  terminal.step('An MCP server redirects to another origin')
  const elsewhere = closeLater(await startRecordingServer())
  const [bearer] = others as [TestMcpServer]
  const roads = [
    ['withOAuth', v1, withOAuth(v1.url)],
    [
      'withBearer and withHeaders',
      bearer,
      [withHeaders(bearer.url, { 'X-API-Key': { env: 'DEMO_API_KEY' } }), withBearer(bearer.url, { env: 'DEMO_TOKEN' })]
    ]
  ] as const
  for (const [name, server, layers] of roads) {
    const fetch = closeLater(authFetch(layers))
    const before = server.requests.length
    const arrived = elsewhere.requests.length
    server.redirect({ status: 307, url: new URL('/collect', elsewhere.url) })
    await (await fetch(server.url, { method: 'POST', body: '{"tool":"call"}' })).text()
    server.redirect(undefined)
    const sent = server.requests.slice(before).map(({ headers }) => headers.authorization)
    assert.ok(sent.length === 1 && sent[0]?.startsWith('Bearer '), 'the server itself is sent the credential')
    const [request] = elsewhere.requests.slice(arrived)
    assert.equal(request?.method, 'POST')
    assert.equal(request?.headers.authorization, undefined)
    assert.equal(request?.headers['x-api-key'], undefined)
    terminal.seen(
      `${name}: the other origin got ${request?.method} ${request?.path} with the headers ${Object.keys(request?.headers ?? {}).join(', ')}`
    )
  }
  assert.equal(secrets.countIn(elsewhere.transcript()), 0)
  terminal.seen(`of ${secrets.size} known secrets it has seen none`)
}

async function printLogWithoutSecrets({ terminal, secrets, cache, as, v1, v2, others }: Stage): Promise<void> {
  terminal.step('The request log, through the redactor')
  await secrets.addCache(cache)
  const servers = [v1, v2, ...others]
  const requests = [...servers.flatMap(({ origin }) => origin.requests), ...as.requests]
  for (const { headers } of requests) secrets.add(headers.authorization?.split(' ')[1])

  const redactor = createRedactor()
  const raw = requestLog(requests)
  const shown = requestLog(requests, redactor)
  assert.ok(secrets.countIn(raw.join('\n')) > 0, 'a log without secrets would prove nothing')
  for (const line of shown) terminal.detail(line)
  terminal.seen(`${requests.length} requests; the log held ${secrets.countIn(raw.join('\n'))} secrets before the redactor`)
  const leaked = secrets.countIn(terminal.transcript())
  terminal.seen(
    `searched everything this demo has printed (${terminal.transcript().length} characters) for ${secrets.size} secrets: found ${leaked}`
  )
  assert.equal(leaked, 0)
}

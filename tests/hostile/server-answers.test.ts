import { gzipSync } from 'node:zlib'
import { McpAuthError } from '@mcpauth/core'
import { clientCredentials, oauthTokens } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Answer, answeringNetwork } from './answering-network.ts'
import { everythingOf, leaksIn } from './canary.ts'
import { fuzzRuns } from './fuzz.ts'

const server = 'https://mcp.example.com/mcp'
const issuer = 'https://as.example.com'
const secret = 'canary-of-the-client-of-the-fuzzer'

const resourceMetadata = { resource: server, authorization_servers: [issuer] }
const metadata = {
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  response_types_supported: ['code'],
  code_challenge_methods_supported: ['S256'],
  token_endpoint_auth_methods_supported: ['client_secret_basic'],
  grant_types_supported: ['client_credentials']
}
const tokens = { access_token: 'an-access-token-of-the-fuzzer', token_type: 'Bearer', expires_in: 3600, scope: 'a' }

interface Answers {
  resource?: Answer
  metadata?: Answer
  token?: Answer
}

/** Logs in at servers that answer so. Gives the error, if there was one. */
async function login(answers: Answers): Promise<{ error: unknown; given: number }> {
  const network = answeringNetwork(({ host, pathname }) => {
    if (pathname.includes('oauth-protected-resource')) return answers.resource ?? json(resourceMetadata)
    if (pathname.includes('.well-known')) return answers.metadata ?? json(metadata)
    if (host === 'as.example.com' && pathname === '/token') return answers.token ?? json(tokens)
    return { status: 401, headers: { 'www-authenticate': 'Bearer' } }
  })
  const oauth = oauthTokens(server, {
    client: { clientId: 'fuzzer', clientSecret: () => secret },
    grant: clientCredentials(),
    store: memoryStore(),
    dispatcher: network
  })
  try {
    await oauth.login()
    return { error: undefined, given: network.given }
  } catch (error) {
    return { error, given: network.given }
  }
}

function json(value: unknown): Answer {
  return { status: 200, body: JSON.stringify(value) }
}

/** A sound document with some of its fields replaced by anything. */
function damaged(document: Record<string, unknown>): fc.Arbitrary<string> {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom(
      null,
      '',
      [],
      {},
      -1,
      1e308,
      '__proto__',
      'javascript:alert(1)',
      'file:///etc/passwd',
      'http://127.0.0.1/',
      'https://[::1]/',
      '\u001b[2J'
    )
  )
  const fields = fc.dictionary(
    fc.constantFrom(...Object.keys(document), '__proto__', 'constructor', 'error', 'id_token', 'refresh_token'),
    value,
    { maxKeys: 4 }
  )
  return fc.oneof(
    { weight: 6, arbitrary: fields.map((changed) => JSON.stringify({ ...document, ...changed })) },
    { weight: 1, arbitrary: fc.json() },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 100 }) }
  )
}

const status = fc.oneof(
  { weight: 5, arbitrary: fc.constant(200) },
  { weight: 1, arbitrary: fc.constantFrom(201, 204, 301, 400, 401, 403, 404, 429, 500, 503) }
)

async function isCivil(answers: Answers): Promise<boolean> {
  const { error } = await login(answers)
  const sound = error === undefined || McpAuthError.is(error)
  const clean = Object.keys(Object.prototype).length === 0
  return sound && clean && leaksIn(everythingOf(error), { secret }).length === 0
}

test('the servers of these tests work when nothing is damaged', async () => {
  expect((await login({})).error).toBeUndefined()
})

describe('T9, T13: whatever servers answer, the error is ours, holds no secret, and no prototype is touched', () => {
  test('resource metadata', async () => {
    const property = fc.asyncProperty(damaged(resourceMetadata), status, (body, code) => isCivil({ resource: { status: code, body } }))
    await fc.assert(property, fuzzRuns('resource metadata', 300, 100_000))
  })

  test('authorization server metadata', async () => {
    const property = fc.asyncProperty(damaged(metadata), status, (body, code) => isCivil({ metadata: { status: code, body } }))
    await fc.assert(property, fuzzRuns('authorization server metadata', 300, 100_000))
  })

  test('token answers', async () => {
    const property = fc.asyncProperty(damaged(tokens), status, (body, code) => isCivil({ token: { status: code, body } }))
    await fc.assert(property, fuzzRuns('token answers', 300, 100_000))
  })
})

describe('T9: memory', () => {
  function* chunks(mebibytes: number): Generator<Uint8Array> {
    const chunk = Buffer.alloc(64 * 1024, 'x')
    for (let i = 0; i < mebibytes * 16; i++) yield chunk
  }

  test.each(['resource', 'metadata', 'token'] as const)('of 64 MiB of %s no more than 2 are taken', async (which) => {
    const { error, given } = await login({ [which]: { status: 200, body: chunks(64) } })
    expect(McpAuthError.is(error)).toBe(true)
    expect(given).toBeLessThan(2 * 1024 * 1024)
  })

  test.each(['resource', 'metadata', 'token'] as const)('a gzip bomb as %s is not unpacked beyond the cap', async (which) => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, ' '))
    const before = process.memoryUsage().arrayBuffers
    const { error } = await login({ [which]: { status: 200, headers: { 'content-encoding': 'gzip' }, body: [bomb] } })
    expect(McpAuthError.is(error)).toBe(true)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 * 1024 * 1024)
  })
})

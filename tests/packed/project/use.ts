// A user's code in a project of its own: every package is imported, and one request goes through the layers.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { withBearer } from '@mcpauth/bearer-env'
import { authFetch, McpAuthError } from '@mcpauth/core'
import { withHeaders } from '@mcpauth/header-injector'
import { withMtls } from '@mcpauth/mtls'
import { browserLogin, oauthTokens, withOAuth } from '@mcpauth/oauth'
import { createRedactor } from '@mcpauth/redactor'
import { withRefreshOn401 } from '@mcpauth/refresh-on-401'
import { withSignature, withWebBotAuth } from '@mcpauth/rfc9421-signer'
import { withSigV4 } from '@mcpauth/sigv4'
import { fileStore, memoryStore } from '@mcpauth/token-store'
import { keyringStore } from '@mcpauth/token-store-keyring'
import { postgresStore } from '@mcpauth/token-store-postgres'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

const layers = [browserLogin, oauthTokens, withMtls, withRefreshOn401, withSignature, withWebBotAuth, withSigV4]
for (const factory of [...layers, fileStore, memoryStore, keyringStore, postgresStore]) assert.equal(typeof factory, 'function')

const server = createServer((request, response) => {
  if (request.url !== '/token') return response.end(JSON.stringify(request.headers))
  response.setHeader('Content-Type', 'application/json')
  return response.end(JSON.stringify({ access_token: 'from-the-helper', token_type: 'Bearer', expires_in: 3600 }))
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`)

process.env.PACKED_TOKEN = 'a-token-for-the-packed-test'
const fetch = authFetch([withHeaders(url, { 'X-Tenant': 'acme' }), withBearer(url, { env: 'PACKED_TOKEN' })])
const transport: StreamableHTTPClientTransport = new StreamableHTTPClientTransport(url, { fetch })
assert.ok(transport)
const seen = (await (await fetch(url)).json()) as Record<string, string>
assert.equal(seen.authorization, 'Bearer a-token-for-the-packed-test')
assert.equal(seen['x-tenant'], 'acme')
assert.equal(createRedactor().redactText(JSON.stringify(seen)).includes('a-token-for-the-packed-test'), false)

const withoutLogin = authFetch(withOAuth(url, { store: memoryStore() }))
assert.equal(typeof withoutLogin, 'function')
assert.throws(
  () => withOAuth('http://mcp.example.com/mcp'),
  (error) => McpAuthError.is(error) && error.code === 'MCPAUTH_INSECURE_URL'
)

// The helper process is a file of its own beside the package's code.
const root = mkdtempSync(join(tmpdir(), 'mcpauth-packed-'))
try {
  const store = fileStore({ root })
  const record = { access_token: 'used-up', refresh_token: 'once', token_type: 'Bearer', expires_at_unix: 1, generation: 1 }
  await store.transact({ kind: 'server', url: url.href }, (held) => held.write(record), { deadlineMs: 10_000 })
  const isolated = oauthTokens(url, {
    store,
    refreshIsolation: 'process',
    tokenUrl: new URL('/token', url).href,
    client: { clientId: 'packed' }
  })
  assert.equal((await isolated.current())?.value, 'from-the-helper')
} finally {
  rmSync(root, { recursive: true, force: true })
}
await fetch[Symbol.asyncDispose]()
server.close()

// A user's code in a project of its own: every package is imported, and one request goes through the layers.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
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
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

const everything = [browserLogin, oauthTokens, withMtls, withRefreshOn401, withSignature, withWebBotAuth, withSigV4, fileStore, memoryStore]
for (const factory of everything) assert.equal(typeof factory, 'function')

const server = createServer((request, response) => response.end(JSON.stringify(request.headers)))
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
await fetch[Symbol.asyncDispose]()
server.close()

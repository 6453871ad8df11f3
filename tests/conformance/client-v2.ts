// The client under test, on SDK v2: its plain transport with our fetch, in the protocol revision that the suite asks for.
import { authFetch } from '@mcpauth/core'
import { withOAuth } from '@mcpauth/oauth'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { clientOptions } from './client-options.ts'

const url = new URL(process.argv.at(-1) as string)
const revision = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? ''
const client = new Client(
  { name: 'mcpauth-conformance', version: '1.0.0' },
  { versionNegotiation: { mode: revision > '2025-11-25' ? 'auto' : 'legacy' } }
)
await using fetch = authFetch(withOAuth(url, clientOptions()))
await client.connect(new StreamableHTTPClientTransport(url, { fetch }))
await client.listTools()
await client.callTool({ name: 'test-tool', arguments: {} })
await client.close()

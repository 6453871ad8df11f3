// The client under test, on SDK v1: its plain transport with our fetch.
import { authFetch } from '@mcpauth/core'
import { withOAuth } from '@mcpauth/oauth'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { clientOptions } from './client-options.ts'

const url = new URL(process.argv.at(-1) as string)
const client = new Client({ name: 'mcpauth-conformance', version: '1.0.0' })
await using fetch = authFetch(withOAuth(url, clientOptions()))
await client.connect(new StreamableHTTPClientTransport(url, { fetch }))
await client.listTools()
await client.callTool({ name: 'test-tool', arguments: {} })
await client.close()

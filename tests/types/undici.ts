// Checked by `tsc` alone: our types fit both undici majors and both SDKs, without naming any of them in a public declaration.
import { authFetch, authMiddleware, fetchDispatcher, type Interceptor, wrapTransport } from '@mcpauth/core'
import * as v2 from '@modelcontextprotocol/client'
import { applyMiddlewares } from '@modelcontextprotocol/sdk/client/middleware.js'
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { Agent, MockAgent, ProxyAgent } from 'undici'
import * as undici7 from 'undici7'

declare const layer: Interceptor
const url = new URL('https://mcp.example.com/mcp')

// Every layer is an interceptor of both majors' compose.
new Agent().compose(layer)
new undici7.Agent().compose(layer)
new Agent().compose([layer, layer])
new undici7.Agent().compose(layer, layer)

// Every dispatcher of both majors is a dispatcher of authFetch.
const fetch = authFetch([layer], { dispatcher: new Agent() })
authFetch(layer, { dispatcher: new undici7.Agent() })
authFetch(layer, {
  dispatcher: new ProxyAgent('http://127.0.0.1:1'),
  authorizationServerDispatcher: new undici7.ProxyAgent('http://127.0.0.1:1')
})
authFetch(layer, { dispatcher: new MockAgent() })
authFetch(layer, { dispatcher: fetchDispatcher() })

// And its fetch is one for every HTTP transport of both SDKs.
new StreamableHTTPClientTransport(url, { fetch })
new SSEClientTransport(url, { fetch })
new v2.StreamableHTTPClientTransport(url, { fetch })
new v2.SSEClientTransport(url, { fetch })
applyMiddlewares(authMiddleware(layer))
v2.applyMiddlewares(authMiddleware(layer))

const wrapped: StreamableHTTPClientTransport = wrapTransport(StreamableHTTPClientTransport, url, layer, { transport: { sessionId: 'x' } })
const wrappedV2: v2.StreamableHTTPClientTransport = wrapTransport(v2.StreamableHTTPClientTransport, url, [layer], {
  dispatcher: new Agent()
})
wrapTransport(SSEClientTransport, url, layer)
wrapTransport(v2.SSEClientTransport, url, layer)
void [wrapped, wrappedV2]

// @ts-expect-error its first argument is not a URL
wrapTransport(StdioClientTransport, url, layer)
// @ts-expect-error a misspelt option of the transport
wrapTransport(StreamableHTTPClientTransport, url, layer, { transport: { sesionId: 'x' } })
// @ts-expect-error a dispatcher must dispatch
authFetch(layer, { dispatcher: {} })

import { authFetch, type FetchLike, type Interceptor } from '@mcpauth/core'
import type { Client as ClientV2 } from '@modelcontextprotocol/client'
import type { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'

/** The two major versions of the MCP SDK. */
export type Sdk = 'v1' | 'v2'

/** As much of an MCP client as the demo needs. */
export interface DemoClient extends AsyncDisposable {
  /** Calls a tool and returns the text it answered. */
  call(tool: string, args?: Record<string, unknown>): Promise<string>
}

/** Connects a client of one of the SDKs whose every request goes through `authFetch(layers)`. */
export async function connect(sdk: Sdk, url: URL, layers: Interceptor | readonly Interceptor[]): Promise<DemoClient> {
  const fetch = authFetch(layers)
  const client = await open(sdk, url, fetch)
  return {
    call: async (name, args = {}) => textOf(await client.callTool({ name, arguments: args })),
    async [Symbol.asyncDispose]() {
      await client.close()
      await fetch[Symbol.asyncDispose]()
    }
  }
}

/** Loads only the SDK that is asked for: a worker process starts in half the time. */
async function open(sdk: Sdk, url: URL, fetch: FetchLike): Promise<ClientV1 | ClientV2> {
  const info = { name: 'mcpauth-demo', version: '1.0.0' }
  if (sdk === 'v1') {
    const { Client } = await import('@modelcontextprotocol/sdk/client/index.js')
    const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js')
    const client = new Client(info)
    // The SDK's own types do not fit each other under exactOptionalPropertyTypes.
    await client.connect(new StreamableHTTPClientTransport(url, { fetch }) as Transport)
    return client
  }
  const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client')
  const client = new Client(info)
  await client.connect(new StreamableHTTPClientTransport(url, { fetch }))
  return client
}

function textOf(result: unknown): string {
  const { content: [first] = [] } = result as { content?: Array<{ text?: string }> }
  return first?.text ?? ''
}

import { authFetch, type Interceptor, wrapTransport } from '@mcpauth/core'
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2, SSEClientTransport as SseV2 } from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport as SseV1 } from '@modelcontextprotocol/sdk/client/sse.js'
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'

/** The client's end of a road. */
export interface Way {
  readonly sdk: 'v1' | 'v2'
  readonly transport: 'http' | 'sse'
}

export interface CallOptions {
  signal?: AbortSignal
  onprogress?: (report: { progress: number }) => void
}

/** As much of an MCP client as the tests need. */
export interface WireClient extends AsyncDisposable {
  call(tool: string, args?: Record<string, unknown>, options?: CallOptions): Promise<string>
  /** What the transport reported to `onerror`. */
  readonly errors: Error[]
  readonly closed: Promise<void>
  /** Texts that came over the GET stream. */
  readonly announcements: string[]
  /** DELETE; only on Streamable HTTP. */
  terminate(): Promise<void>
}

const info = { name: 'wire-test', version: '1.0.0' }
// A dropped stream is opened again at once.
const reconnectionOptions = { initialReconnectionDelay: 1, maxReconnectionDelay: 1, reconnectionDelayGrowFactor: 1, maxRetries: 5 }

/** Connects a client of the SDK through the transport. */
export async function connect(way: Way, url: URL, layers: Interceptor): Promise<WireClient> {
  const { transport, end } = openTransport(way, url, layers)
  const errors: Error[] = []
  const announcements: string[] = []
  const closed = Promise.withResolvers<void>()
  const client = way.sdk === 'v1' ? new ClientV1(info) : new ClientV2(info)
  client.onerror = (error) => void errors.push(error)
  client.onclose = () => closed.resolve()
  client.fallbackNotificationHandler = async ({ method, params }) => {
    if (method === 'notifications/message') announcements.push(String((params as { data: unknown }).data))
  }
  await client.connect(transport as never)

  return {
    errors,
    announcements,
    closed: closed.promise,
    async call(name, args = {}, options = {}) {
      const tool = { name, arguments: args }
      const result = client instanceof ClientV1 ? await client.callTool(tool, undefined, options) : await client.callTool(tool, options)
      return (result as { content: Array<{ text: string }> }).content[0]?.text ?? ''
    },
    terminate: async () => await (transport as HttpV1).terminateSession(),
    async [Symbol.asyncDispose]() {
      await client.close()
      await end()
    }
  }
}

function openTransport(way: Way, url: URL, layers: Interceptor): { transport: Transport | HttpV2 | SseV2; end: () => Promise<void> } {
  if (way.transport === 'sse') {
    const transport = way.sdk === 'v1' ? wrapTransport(SseV1, url, layers) : wrapTransport(SseV2, url, layers)
    return { transport: transport as never, end: async () => undefined }
  }
  const fetch = authFetch(layers)
  const options = { fetch, reconnectionOptions }
  const transport = way.sdk === 'v1' ? (new HttpV1(url, options) as Transport) : new HttpV2(url, options)
  return { transport, end: async () => await fetch[Symbol.asyncDispose]() }
}

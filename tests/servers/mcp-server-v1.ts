import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { type CallToolResult, isInitializeRequest } from '@modelcontextprotocol/sdk/types.js'
import { z } from 'zod'
import { sendJson } from './http-origin.ts'
import { type Admitted, protect } from './protected-resource.ts'
import { describeCaller, type McpServerOptions, originFor, requestsAt, type TestMcpServer } from './test-mcp-server.ts'
import { createToolGate, type ToolGate } from './tool-gate.ts'

/** How a session is answered. */
export type Answers = 'json' | 'sse'

export interface McpServerV1 extends TestMcpServer {
  /** The legacy SSE transport's stream, which announces `/messages` for its POSTs. Only on an origin of its own. */
  readonly sseUrl: URL
  /** Holds for sessions that begin from now on. */
  answers: Answers
  /** Sessions of Streamable HTTP that are alive. */
  readonly sessions: number
  /** GET streams (and legacy streams) that are open. */
  readonly openStreams: number
  /** Breaks every open GET stream; the sessions live on. */
  dropStreams(): void
  /** Sends a notification to every session's GET stream (and legacy stream). */
  announce(text: string): Promise<void>
}

/** A protected MCP server built with `@modelcontextprotocol/sdk`: stateful Streamable HTTP at its path, and the legacy SSE transport at `/sse`. */
export async function startMcpServerV1(options: McpServerOptions & { answers?: Answers } = {}): Promise<McpServerV1> {
  const { path = '/mcp' } = options
  const { origin, close } = await originFor(options)
  const gate = protect(origin, [path, '/sse'], options)
  const waiting = createToolGate()
  const streams = new Set<ServerResponse>()
  let answers = options.answers ?? 'sse'
  const streamable = streamableSessions((transport) => connect(transport, waiting))
  const legacy = legacySessions((transport) => connect(transport, waiting))

  function watch(stream: ServerResponse): void {
    streams.add(stream)
    stream.once('close', () => streams.delete(stream))
  }

  origin.mount(path, async (request, response) => {
    const place = request.method === 'GET' || request.method === 'DELETE' ? request.method : 'POST'
    const admitted = await gate.enter(request, response, place, path)
    if (!admitted) return
    if (place === 'GET') watch(response)
    await streamable.serve(request, response, admitted, answers)
  })
  if (!options.origin) {
    origin.mount('/sse', async (request, response) => {
      if (!(await gate.enter(request, response, 'SSE', '/sse'))) return
      watch(response)
      await legacy.open(response)
    })
    origin.mount('/messages', async (request, response) => {
      const admitted = await gate.enter(request, response, 'POST', '/sse')
      if (admitted) await legacy.post(request, response, admitted)
    })
  }

  return {
    ...gate,
    url: new URL(path, origin.url),
    sseUrl: new URL('/sse', origin.url),
    origin,
    waiting,
    get requests() {
      return requestsAt(origin, [path, '/sse', '/messages'])
    },
    get sessions() {
      return streamable.open.size
    },
    get openStreams() {
      return streams.size
    },
    dropStreams() {
      for (const stream of streams) stream.destroy()
    },
    get answers() {
      return answers
    },
    set answers(next) {
      answers = next
    },
    async announce(text) {
      const servers = [...streamable.open.values(), ...legacy.sessions.values()].map(({ server }) => server)
      await Promise.all(servers.map((server) => server.sendLoggingMessage({ level: 'info', data: text })))
    },
    async restart() {
      streamable.open.clear()
      legacy.sessions.clear()
      await origin.restart()
    },
    [Symbol.asyncDispose]: close
  }
}

async function connect(transport: Transport, waiting: ToolGate): Promise<McpServer> {
  const server = new McpServer({ name: 'test-server-v1', version: '1.0.0' }, { capabilities: { logging: {} } })
  server.registerTool('echo', { description: 'Says it again', inputSchema: { text: z.string() } }, ({ text: said }) => text(said))
  server.registerTool('whoami', { description: 'Who the token belongs to' }, (extra) => text(describeCaller(extra.authInfo)))
  server.registerTool('admin', { description: 'Needs the scope mcp:admin' }, () => text('allowed'))
  server.registerTool('wait', { description: 'Reports progress, then waits' }, async (extra) => {
    const progressToken = extra._meta?.progressToken
    if (progressToken !== undefined) {
      await extra.sendNotification({ method: 'notifications/progress', params: { progressToken, progress: 1, total: 2 } })
    }
    await waiting.pass()
    return text('waited')
  })
  await server.connect(transport)
  return server
}

function text(said: string): CallToolResult {
  return { content: [{ type: 'text', text: said }] }
}

interface Session<T> {
  transport: T
  server: McpServer
}

function streamableSessions(start: (transport: Transport) => Promise<McpServer>): {
  open: Map<string, Session<StreamableHTTPServerTransport>>
  serve(request: IncomingMessage, response: ServerResponse, admitted: Admitted, answers: Answers): Promise<void>
} {
  const open = new Map<string, Session<StreamableHTTPServerTransport>>()

  async function begin(answers: Answers): Promise<StreamableHTTPServerTransport> {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      enableJsonResponse: answers === 'json',
      onsessioninitialized: (id) => void open.set(id, { transport, server }),
      onsessionclosed: (id) => void open.delete(id)
    })
    // The class declares its hooks as `T | undefined`, the interface as optional.
    const server = await start(transport as Transport)
    return transport
  }

  return {
    open,
    async serve(request, response, { caller, body }, answers) {
      const id = request.headers['mcp-session-id']
      const session = typeof id === 'string' ? open.get(id) : undefined
      if (!session && (id !== undefined || !isInitializeRequest(body))) {
        return sendJson(response, id === undefined ? 400 : 404, {
          jsonrpc: '2.0',
          error: { code: -32_001, message: 'no such session' },
          id: null
        })
      }
      const transport = session?.transport ?? (await begin(answers))
      await transport.handleRequest(caller ? Object.assign(request, { auth: caller }) : request, response, body)
    }
  }
}

function legacySessions(start: (transport: Transport) => Promise<McpServer>): {
  sessions: Map<string, Session<SSEServerTransport>>
  open(response: ServerResponse): Promise<void>
  post(request: IncomingMessage, response: ServerResponse, admitted: Admitted): Promise<void>
} {
  const sessions = new Map<string, Session<SSEServerTransport>>()
  return {
    sessions,
    async open(response) {
      const transport = new SSEServerTransport('/messages', response)
      sessions.set(transport.sessionId, { transport, server: await start(transport) })
      response.once('close', () => sessions.delete(transport.sessionId))
    },
    async post(request, response, { caller, body }) {
      const id = new URL(request.url as string, 'http://localhost').searchParams.get('sessionId') ?? ''
      const session = sessions.get(id)
      if (!session) return sendJson(response, 404, { error: 'no such session' })
      await session.transport.handlePostMessage(caller ? Object.assign(request, { auth: caller }) : request, response, body)
    }
  }
}

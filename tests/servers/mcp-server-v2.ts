import { toNodeHandler } from '@modelcontextprotocol/node'
import { type CallToolResult, createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { protect } from './protected-resource.ts'
import { describeCaller, type McpServerOptions, originFor, requestsAt, type TestMcpServer } from './test-mcp-server.ts'
import { createToolGate, type ToolGate } from './tool-gate.ts'

/**
 * A protected MCP server built with `@modelcontextprotocol/server`: stateless, speaks 2026-07-28 and what came before.
 *
 * @param options.answers `auto` streams when a tool reports before its result. @default 'auto'
 */
export async function startMcpServerV2(options: McpServerOptions & { answers?: 'auto' | 'json' | 'sse' } = {}): Promise<TestMcpServer> {
  const { path = '/mcp' } = options
  const { origin, close } = await originFor(options)
  const gate = protect(origin, [path], options)
  const waiting = createToolGate()
  const handler = createMcpHandler(() => createServer(waiting), { responseMode: options.answers ?? 'auto' })
  const serve = toNodeHandler(handler)

  origin.mount(path, async (request, response) => {
    const place = request.method === 'GET' || request.method === 'DELETE' ? request.method : 'POST'
    const admitted = await gate.enter(request, response, place, path)
    if (!admitted) return
    const { caller, body } = admitted
    // Node's type says `method: string | undefined`, the SDK's `method?: string`.
    await serve(Object.assign(request, caller ? { auth: caller } : {}) as Parameters<typeof serve>[0], response, body)
  })

  return {
    ...gate,
    url: new URL(path, origin.url),
    origin,
    waiting,
    get requests() {
      return requestsAt(origin, [path])
    },
    restart: origin.restart,
    async [Symbol.asyncDispose]() {
      await handler.close()
      await close()
    }
  }
}

function createServer(waiting: ToolGate): McpServer {
  const server = new McpServer({ name: 'test-server-v2', version: '1.0.0' })
  const echo = z.object({ text: z.string() })
  server.registerTool('echo', { description: 'Says it again', inputSchema: echo }, ({ text: said }) => text(said))
  server.registerTool('whoami', { description: 'Who the token belongs to' }, (ctx) => text(describeCaller(ctx.http?.authInfo)))
  server.registerTool('admin', { description: 'Needs the scope mcp:admin' }, () => text('allowed'))
  server.registerTool('wait', { description: 'Reports progress, then waits' }, async (ctx) => {
    const progressToken = ctx.mcpReq._meta?.progressToken
    if (progressToken !== undefined) {
      await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: 1, total: 2 } })
    }
    await waiting.pass()
    return text('waited')
  })
  return server
}

function text(said: string): CallToolResult {
  return { content: [{ type: 'text', text: said }] }
}

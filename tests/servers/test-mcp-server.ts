import { type Origin, type RecordedRequest, startOrigin } from './http-origin.ts'
import type { ProtectedResource, ProtectionOptions } from './protected-resource.ts'
import type { ToolGate } from './tool-gate.ts'

export interface McpServerOptions extends ProtectionOptions {
  /** Where the server is on its origin. @default '/mcp' */
  path?: string
  /** Mounts the server on an origin that is there already, which it then does not close. @default an origin of its own */
  origin?: Origin
}

/**
 * A real MCP server with switches.
 * Tools: `echo`, `whoami`, `wait` (reports progress, then stands at the gate), `admin` (needs a scope).
 */
export interface TestMcpServer extends ProtectedResource, AsyncDisposable {
  readonly url: URL
  readonly origin: Origin
  /** Requests to the server itself, without its metadata. */
  readonly requests: readonly RecordedRequest[]
  /** Calls of the tool `wait` stand here. */
  readonly waiting: ToolGate
  /** Forgets every session, ends every connection and listens again; tokens stay valid. */
  restart(): Promise<void>
}

/** The origin a server lives on, and how to end it: only what was made here. */
export async function originFor(options: McpServerOptions): Promise<{ origin: Origin; close: () => Promise<void> }> {
  if (options.origin) return { origin: options.origin, close: async () => undefined }
  const origin = await startOrigin()
  return { origin, close: origin.close }
}

/** The requests below some paths of an origin. */
export function requestsAt(origin: Origin, paths: readonly string[]): RecordedRequest[] {
  return origin.requests.filter(({ path }) => paths.includes(path.split('?')[0] as string))
}

/** What `whoami` says. */
export function describeCaller(caller: { clientId: string; scopes: string[]; extra?: Record<string, unknown> } | undefined): string {
  return JSON.stringify({ sub: caller?.extra?.sub ?? null, clientId: caller?.clientId ?? null, scope: caller?.scopes.join(' ') ?? null })
}

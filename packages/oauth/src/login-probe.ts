import { type AuthChallenge, McpAuthError, parseChallenges } from '@mcpauth/core'
import type { AuthorizationServerClient } from './authorization-server-client.ts'

/**
 * Asks the MCP server for something without a credential, to see its challenge: a login before the first request would otherwise not know the
 * scope and the metadata that the challenge names.
 *
 * @returns Whether the server refused, and its challenges.
 */
export async function probeServer(
  network: AuthorizationServerClient,
  server: URL,
  signal?: AbortSignal
): Promise<{ refused: boolean; challenges: AuthChallenge[] }> {
  const request = {
    method: 'POST' as const,
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    // Harmless where it is answered: a ping changes nothing and opens no session.
    body: '{"jsonrpc":"2.0","id":"mcpauth","method":"ping"}'
  }
  const answer = await network.send(server, 'the MCP server', request, { deadlineMs: 10_000, signal })
  const response = answer.status === 404 || answer.status === 405 ? await probeStream(network, server, signal) : answer
  const refused = response.status === 401
  return { refused, challenges: refused ? parseChallenges(response.headers.get('www-authenticate') ?? undefined) : [] }
}

/** The legacy SSE transport knows only GET there. A stream that opens never ends, so there a time limit means that the server did not refuse. */
async function probeStream(network: AuthorizationServerClient, server: URL, signal: AbortSignal | undefined): Promise<Response> {
  const request = { method: 'GET' as const, headers: { accept: 'text/event-stream' } }
  try {
    return await network.send(server, 'the MCP server', request, { deadlineMs: 3_000, signal })
  } catch (error) {
    if (McpAuthError.is(error) && error.code === 'MCPAUTH_TIMEOUT') return new Response()
    throw error
  }
}

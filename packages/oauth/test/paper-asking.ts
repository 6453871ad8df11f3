import * as protocol from 'oauth4webapi'
import type { GrantRequest } from '../src/grants/grant.ts'

/** A request as it was sent. */
export interface Sent {
  url: string
  what: string
  method: string
  headers: Headers
  form: Record<string, string>
  limits: Record<string, unknown>
}

/** What a token endpoint answers. */
export const good = { access_token: 'the-access-token', token_type: 'Bearer' }

/** What a grant asks with, on a network whose answers are these, in turn; then good ones. */
export function asking(more: Partial<GrantRequest>, ...answers: Array<Response | Error>): { ask: GrantRequest; sent: Sent[] } {
  const sent: Sent[] = []
  const send = async (url: URL, what: string, request: Record<string, string>, limits: Record<string, unknown>) => {
    const { method, headers, body } = request as { method: string; headers: unknown; body?: string }
    sent.push({
      url: url.href,
      what,
      method,
      headers: new Headers(headers as never),
      form: Object.fromEntries(new URLSearchParams(body)),
      limits
    })
    const next = answers.shift() ?? Response.json(good)
    if (next instanceof Error) throw next
    return next
  }
  const ask = {
    server: new URL('https://mcp.example.com/mcp'),
    authorizationServer: { issuer: 'https://as.example.com', token_endpoint: 'https://as.example.com/token' },
    client: { client_id: 'c' },
    clientAuth: protocol.None(),
    network: { send },
    resource: undefined,
    scope: undefined,
    dpop: undefined,
    ...more
  }
  return { ask: ask as unknown as GrantRequest, sent }
}

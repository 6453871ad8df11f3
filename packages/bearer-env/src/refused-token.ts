import { type HeldAnswer, McpAuthError, parseChallenges, safeText } from '@mcpauth/core'
import type { OpenSource } from './bearer-source.ts'

/** The error for a token that the server will not take: where it came from and what the server says about it, made safe to print. */
export function refusedToken(server: URL, source: OpenSource, answer: HeldAnswer): McpAuthError {
  const reason = safeText(reasonOf(answer))
  const fact = `${server.origin}${server.pathname} refused the bearer token of ${source.origin} (${answer.status})`
  return new McpAuthError('MCPAUTH_TOKEN_REFUSED', reason ? `${fact}: ${reason}` : fact, { hint: source.hint })
}

/** What a server says is wrong: in its challenge (RFC 6750 §3), else in a JSON body as OAuth, JSON-RPC or plain servers write it. */
function reasonOf(answer: HeldAnswer): string {
  for (const { scheme, parameters } of parseChallenges(answer.headers['www-authenticate'])) {
    if (scheme === 'bearer') {
      const said = [parameters.error, parameters.error_description].filter(Boolean).join(', ')
      if (said) return said
    }
  }
  return reasonInBody(new TextDecoder().decode(answer.body))
}

function reasonInBody(text: string): string {
  try {
    const body = JSON.parse(text)
    const said = body.error_description ?? body.error?.message ?? body.message ?? body.error
    return typeof said === 'string' ? said : ''
  } catch {
    // Not JSON, so not for a program to quote.
    return ''
  }
}

import { parseServerUrl } from '@mcpauth/core'
import { oauthTokens } from '@mcpauth/oauth'
import { exitCodes, type Terminal } from '../terminal.ts'

/** Revokes and forgets the tokens of one server. Without tokens it is done already. */
export async function logout(url: string, flags: { profile?: string }, terminal: Terminal): Promise<number> {
  const server = parseServerUrl(url)
  const tokens = oauthTokens(server, flags)
  const { loggedIn } = await tokens.status()
  if (loggedIn) await tokens.logout()
  terminal.answer(loggedIn ? `logged out of ${server.href}` : `not logged in to ${server.href}`)
  return exitCodes.done
}

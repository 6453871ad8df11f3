import { McpAuthError } from '@mcpauth/core'

// Wider than the token68 of RFC 6750 §2.1, because servers hand out tokens with other characters; nothing here can end a header line.
const visibleAscii = /^[\x21-\x7e]+$/

/**
 * Checks that a token can stand in an `Authorization` header. The error says where the token came from, never what it is.
 *
 * @param origin Where it came from, as in "the environment variable NAME".
 * @throws `MCPAUTH_CREDENTIAL_INVALID`
 */
export function checkTokenValue(token: string, origin: string): void {
  if (visibleAscii.test(token)) return
  throw new McpAuthError('MCPAUTH_CREDENTIAL_INVALID', `the bearer token of ${origin} ${whatIsWrong(token)}`, { hint: hintFor(token) })
}

function whatIsWrong(token: string): string {
  if (/[\x00-\x1f\x7f-\x9f]/.test(token)) return 'holds a control character or a line break'
  if (/^bearer /i.test(token)) return "begins with the scheme's name"
  if (/\s/.test(token)) return 'holds white space'
  return 'holds a character outside ASCII'
}

function hintFor(token: string): string {
  return /^bearer /i.test(token)
    ? "give the token alone, without 'Bearer ' before it"
    : 'give the token alone, on one line, as the server issued it'
}

import { invalidOption, isLoopbackHost, McpAuthError, safeText } from '@mcpauth/core'

/**
 * Refuses a login whose redirect URI would carry the code in clear text to another machine (N31), or is not one that the client is registered with, before a person is sent to an error page that never comes back.
 * A loopback address may have any port (RFC 8252 §7.3); everything else is compared to the letter.
 *
 * @param registered Absent: the user has not said.
 * @throws `MCPAUTH_INSECURE_URL`, `MCPAUTH_CLIENT_MISMATCH`
 */
export function checkRedirectUri(registered: readonly string[] | undefined, redirectUri: string): void {
  const url = URL.canParse(redirectUri) ? new URL(redirectUri) : undefined
  if (!url || (url.protocol === 'http:' && !isLoopbackHost(url.hostname))) {
    throw new McpAuthError(
      'MCPAUTH_INSECURE_URL',
      `the login comes back to ${safeText(redirectUri)}, which is neither https nor this machine`,
      {
        hint: 'let the login come back to https, or to http on 127.0.0.1 or [::1]'
      }
    )
  }
  if (registered === undefined || registered.some((uri) => uri === redirectUri || withoutPort(uri) === withoutPort(redirectUri))) return
  throw new McpAuthError(
    'MCPAUTH_CLIENT_MISMATCH',
    `the login comes back to ${safeText(redirectUri)}, and the client is registered with ${registered.map((uri) => safeText(uri)).join(', ')}`,
    { hint: 'give browserLogin() or pasteLogin() the host, port and path that are registered, or register this redirect URI' }
  )
}

/**
 * Checks at construction that they are redirect URIs.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 */
export function checkRegisteredUris(name: string, uris: unknown): void {
  const fine = (uri: unknown): boolean => typeof uri === 'string' && URL.canParse(uri) && !uri.includes('#')
  if (!Array.isArray(uris) || uris.length === 0 || !uris.every(fine)) {
    throw invalidOption(name, 'is not a list of absolute URIs without fragment')
  }
}

/** A loopback URI without its port; any other has none to leave out. */
function withoutPort(uri: string): string | symbol {
  const url = new URL(uri)
  if (url.protocol !== 'http:' || !isLoopbackHost(url.hostname)) return Symbol(uri)
  url.port = ''
  return url.href
}

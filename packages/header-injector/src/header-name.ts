import { invalidOption, type McpAuthError } from '@mcpauth/core'

// RFC 9110 §5.6.2.
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** Headers that frame the message or belong to one connection (RFC 9110 §7.6.1, RFC 9112): the HTTP client alone sets them. */
const ofTheClient = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade'
])

/** Headers that carry a credential with rules of its own, and who keeps them. `Proxy-Authorization-IAP` is not among them. */
const ofAnother: Readonly<Record<string, string>> = {
  authorization:
    'use @mcpauth/bearer-env for a token you have, @mcpauth/oauth to log in, @mcpauth/sigv4 for AWS: they react when the server refuses it',
  'proxy-authorization': 'give the credentials to the proxy itself: in HTTPS_PROXY, or in the dispatcher given to authFetch'
}

/**
 * Checks the names of the headers at construction.
 *
 * @throws `MCPAUTH_INVALID_OPTION` not a header's name, one that another package keeps, one of the HTTP client, or the same name twice.
 */
export function checkHeaderNames(names: readonly string[]): void {
  const seen = new Set<string>()
  for (const name of names) {
    const lower = name.toLowerCase()
    // Only a name that is one is quoted: a secret may have slipped into its place.
    if (!token.test(name)) throw invalidOption('headers', 'holds a key that is not the name of a header')
    if (Object.hasOwn(ofAnother, lower)) throw invalidOption(`headers.${name}`, 'is not a header for this package', ofAnother[lower])
    if (ofTheClient.has(lower)) throw invalidOption(`headers.${name}`, 'is set by the HTTP client', 'leave it out')
    if (seen.has(lower)) throw twice(name)
    seen.add(lower)
  }
}

function twice(name: string): McpAuthError {
  return invalidOption(`headers.${name}`, 'is there twice, in different case', 'keep one of the two')
}

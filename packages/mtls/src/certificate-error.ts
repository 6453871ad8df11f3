import { McpAuthError } from '@mcpauth/core'

/**
 * Something that was given for a TLS connection and cannot be used.
 *
 * @param origin Where it comes from, as in "the file client.pem". Its content is never part of an error.
 */
export function certificateInvalid(origin: string, fact: string, hint: string): McpAuthError {
  return new McpAuthError('MCPAUTH_CERTIFICATE_INVALID', `${origin} ${fact}`, { hint })
}

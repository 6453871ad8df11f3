import { McpAuthError } from '@mcpauth/core'

/** A signature that does not hold, or a message that cannot be signed. `fact` never quotes a value of the message. */
export function signatureInvalid(fact: string, hint?: string): McpAuthError {
  return new McpAuthError('MCPAUTH_SIGNATURE_INVALID', fact, hint === undefined ? {} : { hint })
}

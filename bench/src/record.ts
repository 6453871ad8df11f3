import type { TokenRecord } from '@mcpauth/core'

/** A record of the usual size. */
export const record: TokenRecord = {
  access_token: 'a'.repeat(800),
  refresh_token: 'r'.repeat(200),
  token_type: 'Bearer',
  expires_at_unix: 4_000_000_000,
  generation: 1,
  version: 1
}

import type { HeldRecord, TokenStore } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'

/** A store in which nothing can be written while `full`; what is there can be read. */
export function fullStore(inner: TokenStore = memoryStore(), error: Error = new Error('disk full')): TokenStore & { full: boolean } {
  const store = Object.assign({ full: false }, inner)
  store.transact = (key, work, options) =>
    inner.transact(
      key,
      (held) => {
        const write: HeldRecord['write'] = (next) => (store.full ? Promise.reject(error) : held.write(next))
        return work({ ...held, write })
      },
      options
    )
  return store
}

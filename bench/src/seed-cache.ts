import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A warm cache, written without the store, so that nothing of it is loaded yet. */
export function seedCache(root: string, url: string): void {
  mkdirSync(root, { recursive: true, mode: 0o700 })
  const record = {
    access_token: 'the-token-of-the-bench',
    token_type: 'Bearer',
    expires_at_unix: 4_000_000_000,
    generation: 1,
    server_url: url
  }
  writeFileSync(join(root, `${createHash('sha256').update(url).digest('hex')}.json`), JSON.stringify(record), { mode: 0o600 })
}

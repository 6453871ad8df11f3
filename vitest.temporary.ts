import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What a test leaves lying about in the temporary folder, or the process that it killed, goes with the run. */
export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'mcpauth-run-'))
  // Root's PostgreSQL runs as another user, who must get through to his own folder.
  chmodSync(folder, 0o711)
  process.env.TMPDIR = folder
  // No test may read or write the cache of the person whose machine this is.
  process.env.MCPAUTH_AUTH_DIR = join(folder, 'auth')
  return () => rmSync(folder, { recursive: true, force: true })
}

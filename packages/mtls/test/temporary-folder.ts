import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A folder that goes with the test, and a way to put files into it that nobody else can read. */
export function temporaryFolder(): { path: string; write(name: string, content: string): string } {
  const path = mkdtempSync(join(tmpdir(), 'mcpauth-mtls-'))
  onTestFinished(() => rmSync(path, { recursive: true }))
  return {
    path,
    write(name, content) {
      const file = join(path, name)
      writeFileSync(file, content, { mode: 0o600 })
      return file
    }
  }
}

// Writes, reads and lists in the keychain of the session; then eight processes count one record up.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { McpAuthError } from '@mcpauth/core'
import { fileLock } from '@mcpauth/token-store'
import { keyringStore } from '@mcpauth/token-store-keyring'

const [root = '', role] = process.argv.slice(2)
const store = keyringStore({ lock: fileLock({ root }) })
const key = { kind: 'server', url: 'https://mcp.example.com/mcp' } as const

async function countUp(): Promise<void> {
  await store.transact(
    key,
    async (held) => {
      const generation = ((await held.read())?.generation ?? 0) + 1
      await held.write({ access_token: 'x'.repeat(100_000), generation })
    },
    { deadlineMs: 60_000 }
  )
}

try {
  await countUp()
  if (role !== 'child') {
    const children = Array.from({ length: 8 }, () => fork(import.meta.filename, [root, 'child']))
    await Promise.all(children.map((child) => once(child, 'exit')))
    const record = await store.read(key)
    const [listed] = await store.list()
    console.log(
      `${record?.generation} generations, one after the other; ${record?.access_token?.length} characters; listed ${JSON.stringify(listed)}`
    )
  }
} catch (error) {
  console.log(McpAuthError.is(error) ? `${error.code}: ${error.message}; ${error.hint}` : error)
  process.exitCode = 1
}

// A program that keeps canaries in a store, looks at everything the store shows, and dies of what goes wrong. Its parent searches all it leaves behind.
import { McpAuthError } from '@mcpauth/core'
import { fileLock, fileStore } from '@mcpauth/token-store'
import { keyringStore } from '@mcpauth/token-store-keyring'
import { everythingOf } from './canary.ts'
import { deadline, grantOf, keep, keyOf } from './hostile-stores.ts'
import { watchSinks } from './sinks.ts'

const [kind, root = ''] = process.argv.slice(2)
const { CANARY_ACCESS: access = '', CANARY_REFRESH: refresh = '', CANARY_SECRET: secret = '', AS_USER: user } = process.env
// Everything is loaded before: this user may not read the modules.
if (user !== undefined) {
  process.setgroups?.([])
  process.setgid?.(Number(user))
  process.setuid?.(Number(user))
}
const url = 'https://mcp.example.com/mcp'
const key = keyOf(url)
const store = kind === 'keyring' ? keyringStore({ lock: fileLock({ root }) }) : fileStore({ root })
const sinks = watchSinks()

try {
  await keep(store, key, grantOf(url, { access, refresh, secret }))
  const record = await store.read(key)
  console.log(`kept: ${record?.access_token === access && record.client?.client_secret === secret}`)
  console.log(`listed: ${JSON.stringify(await store.list())}`)
  await store.transact(key, (held) => held.clear(), deadline)
  console.log(`cleared: ${(await store.read(key))?.access_token === undefined}`)
} catch (error) {
  console.log(McpAuthError.is(error) ? error.code : 'not ours')
  console.log(everythingOf(error))
  throw error
} finally {
  console.log(everythingOf(store))
  console.log(sinks.text())
}

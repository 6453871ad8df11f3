// One request with nothing loaded before it; prints the milliseconds that this process took from its start.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const mode = process.argv[2]
const server = createServer((_request, response) => response.end('{}'))
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
const before = performance.now()
if (mode === 'fetch') {
  await (await fetch(url)).text()
} else if (mode === 'undici') {
  const undici = await import('undici')
  await (await undici.fetch(url)).text()
} else {
  const { seedCache } = await import('./seed-cache.ts')
  await seedCache(url)
  const start = performance.now()
  const { authFetch } = await import('@mcpauth/core')
  const { withOAuth } = await import('@mcpauth/oauth')
  await (await authFetch(withOAuth(url))(url)).text()
  console.log(performance.now() - start)
  process.exit(0)
}
console.log(performance.now() - before)
process.exit(0)

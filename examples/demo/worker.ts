// A process of its own that has nothing but the token cache: connects, says so, waits to be released, calls tools.
import { withOAuth } from '@mcpauth/oauth'
import { connect, type Sdk } from './mcp-clients.ts'

/** What a worker says, in this order. */
export type WorkerMessage = { kind: 'ready' } | { kind: 'done'; answers: string[] } | { kind: 'failed'; reason: string }

const [sdk, address, calls] = process.argv.slice(2) as [Sdk, string, string]

function say(message: WorkerMessage): void {
  process.send?.(message)
}

try {
  const url = new URL(address)
  const client = await connect(sdk, url, withOAuth(url))
  const released = new Promise((resolve) => process.once('message', resolve))
  say({ kind: 'ready' })
  await released
  const answers = await Promise.all(Array.from({ length: Number(calls) }, () => client.call('whoami')))
  say({ kind: 'done', answers })
  await client[Symbol.asyncDispose]()
} catch (error) {
  say({ kind: 'failed', reason: error instanceof Error ? `${error.name}: ${error.message}` : 'unknown' })
}
process.disconnect()

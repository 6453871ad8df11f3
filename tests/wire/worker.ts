// A process that shares a token cache with others: connects, then calls a tool at every word from its parent.
import { withOAuth } from '@mcpauth/oauth'
import { connect, type Way } from './clients.ts'

const [address, sdk] = process.argv.slice(2) as [string, Way['sdk']]
const url = new URL(address)
const client = await connect({ sdk, transport: 'http' }, url, withOAuth(url))

process.on('message', (calls: number) => {
  Promise.all(Array.from({ length: calls }, () => client.call('whoami'))).then(
    (answers) => process.send?.({ answers }),
    (error: unknown) => process.send?.({ error: String(error) })
  )
})
process.send?.('ready')

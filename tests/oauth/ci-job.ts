// One run of a CI job: it knows what its variables say, and calls a tool of the server. What it keeps is in MCPAUTH_AUTH_DIR.
import { refreshTokenOnly, withOAuth } from '@mcpauth/oauth'
import { connect } from '../wire/clients.ts'

const { SDK, MCP_URL, TESTGEN_CLIENT_ID } = process.env
const url = new URL(MCP_URL as string)
const layer = withOAuth(url, {
  client: { clientId: TESTGEN_CLIENT_ID as string, clientSecret: { env: 'TESTGEN_CLIENT_SECRET' } },
  grant: refreshTokenOnly({ refreshToken: { env: 'TESTGEN_REFRESH_TOKEN' } })
})
// Node runs this as it is, and that of 22 does not know `await using` yet.
const client = await connect({ sdk: SDK as 'v1' | 'v2', transport: 'http' }, url, layer)
process.stdout.write(await client.call('whoami'))
await client[Symbol.asyncDispose]()

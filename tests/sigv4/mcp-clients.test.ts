import { request as httpRequest, type ServerResponse } from 'node:http'
import { compose } from '@mcpauth/core'
import { withHeaders } from '@mcpauth/header-injector'
import { withSigV4 } from '@mcpauth/sigv4'
import { expect, test } from 'vitest'
import { readClaim, type WireRequest } from '../../packages/sigv4/test/reference-signature.ts'
import { startMcpServerV1 } from '../servers/index.ts'
import { connect, type Way } from '../wire/clients.ts'
import { awsServer } from './aws-server.ts'

const keys = { accessKeyId: 'AKIDMCPTESTS', secretAccessKey: 'mcp-client-test/secret+key' }
const ways: Way[] = [
  { sdk: 'v1', transport: 'http' },
  { sdk: 'v2', transport: 'http' },
  { sdk: 'v1', transport: 'sse' }
]

/** The front door hands on what it let through, with a token of its own for what is behind it. */
function forwardTo(target: URL): (wire: WireRequest, response: ServerResponse) => void {
  return (wire, response) => {
    const headers = [...wire.rawHeaders]
    headers[headers.findIndex((name) => name.toLowerCase() === 'authorization') + 1] = 'Bearer behind-the-door'
    const outgoing = httpRequest({ host: target.hostname, port: target.port, method: wire.method, path: wire.url, headers }, (incoming) => {
      response.writeHead(incoming.statusCode as number, incoming.headers)
      response.flushHeaders()
      incoming.pipe(response)
    })
    response.once('close', () => outgoing.destroy())
    outgoing.once('error', () => response.destroy())
    outgoing.end(wire.body)
  }
}

test.each(ways)('SDK $sdk over $transport calls a tool behind IAM, and again when the session has expired in between', async (way) => {
  await using mcp = await startMcpServerV1({ bearerToken: 'behind-the-door' })
  await using door = await awsServer([[keys.accessKeyId, keys.secretAccessKey]])
  door.behind = forwardTo(mcp.url)
  let session = 0
  const url = new URL(way.transport === 'sse' ? '/sse' : '/mcp', door.origin)
  const layers = compose([
    withHeaders(url, { 'x-tenant': () => 'one' }),
    withSigV4(url, {
      credentials: () => ({ ...keys, sessionToken: `mcp-client-test-session-${++session}` }),
      region: 'eu-central-1',
      service: 'execute-api'
    })
  ])
  await using client = await connect(way, url, layers)
  expect(await client.call('echo', { text: 'before' })).toBe('before')
  door.expired.add('mcp-client-test-session-1')
  expect(await client.call('echo', { text: 'after' })).toBe('after')
  expect(session).toBe(2)
  expect(client.errors).toEqual([])
  for (const request of door.received) expect(readClaim(request)?.signedHeaders).toContain('x-tenant')
})

import { McpAuthError } from '@mcpauth/core'
import { expect, test } from 'vitest'
import { probeServer } from '../src/login-probe.ts'

const server = new URL('https://mcp.example.com/mcp')

/** A network on which the server gives these answers, in turn. */
function answering(...answers: Array<Response | Error>) {
  const sent: unknown[][] = []
  const send = async (...given: unknown[]): Promise<Response> => {
    sent.push(given)
    const next = answers.shift()
    if (next instanceof Response) return next
    throw next
  }
  return { sent, network: { send, readMetadata: () => expect.unreachable() } }
}

const refusing = (challenge: string): Response => new Response(null, { status: 401, headers: { 'www-authenticate': challenge } })

test('N3: a login before the first request asks the server with a ping, without a credential, and takes the challenge', async () => {
  const { sent, network } = answering(refusing('Bearer scope="read"'))
  const { signal } = new AbortController()
  expect(await probeServer(network, server, signal)).toEqual({
    refused: true,
    challenges: [expect.objectContaining({ scheme: 'bearer', parameters: { scope: 'read' } })]
  })
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
  const body = '{"jsonrpc":"2.0","id":"mcpauth","method":"ping"}'
  expect(sent).toEqual([[server, 'the MCP server', { method: 'POST', headers, body }, { deadlineMs: 10_000, signal }]])
})

test('a refusal without a challenge is one, and what stands beside another answer is no challenge', async () => {
  expect(await probeServer(answering(new Response(null, { status: 401 })).network, server)).toEqual({ refused: true, challenges: [] })
  for (const status of [200, 400, 403, 500]) {
    const { network, sent } = answering(new Response(null, { status, headers: { 'www-authenticate': 'Bearer scope="read"' } }))
    expect(await probeServer(network, server)).toEqual({ refused: false, challenges: [] })
    expect(sent).toHaveLength(1)
  }
})

test.each([404, 405])('a server that knows no POST there (%d) is asked for the stream of the legacy transport', async (status) => {
  const { sent, network } = answering(new Response(null, { status }), refusing('Bearer'))
  const { signal } = new AbortController()
  expect(await probeServer(network, server, signal)).toMatchObject({ refused: true, challenges: [{ scheme: 'bearer' }] })
  expect(sent[1]).toEqual([
    server,
    'the MCP server',
    { method: 'GET', headers: { accept: 'text/event-stream' } },
    { deadlineMs: 3_000, signal }
  ])
})

test('a stream that opens is no refusal; a server that cannot be reached, or says nothing to a ping, is an error', async () => {
  const none = (): Response => new Response(null, { status: 405 })
  const late = new McpAuthError('MCPAUTH_TIMEOUT', 'late')
  expect(await probeServer(answering(none(), late).network, server)).toEqual({ refused: false, challenges: [] })
  for (const error of [new McpAuthError('MCPAUTH_NETWORK', 'gone'), Object.assign(new Error('foreign'), { code: 'MCPAUTH_TIMEOUT' })])
    await expect(probeServer(answering(none(), error).network, server)).rejects.toBe(error)
  await expect(probeServer(answering(late).network, server)).rejects.toBe(late)
})

// Whole requests over loopback against bare undici.fetch; the server is a process of its own.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { withBearer } from '@mcpauth/bearer-env'
import { authFetch } from '@mcpauth/core'
import { withOAuth } from '@mcpauth/oauth'
import { fileStore } from '@mcpauth/token-store'
import { Agent, request, fetch as undiciFetch } from 'undici'
import { compare, print } from './harness.ts'

const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: { text: 'x'.repeat(200) } } })
const init = { method: 'POST', headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }, body }

export async function requestsBench(): Promise<void> {
  const server = fork(new URL('./echo-server.ts', import.meta.url))
  const [{ url }] = (await once(server, 'message')) as [{ url: string }]
  const root = mkdtempSync(join(tmpdir(), 'mcpauth-bench-'))
  const agent = new Agent()
  try {
    const store = fileStore({ root })
    const key = { kind: 'server', url } as const
    await store.transact(
      key,
      (held) =>
        held.write({
          access_token: 'the-access-token-of-the-bench',
          token_type: 'Bearer',
          expires_at_unix: Math.floor(Date.now() / 1000) + 86_400,
          lifetime: 86_400,
          generation: 1,
          server_url: url
        }),
      { deadlineMs: 10_000 }
    )
    const bearer = authFetch(withBearer(url, { get: () => 'the-access-token-of-the-bench' }), { dispatcher: agent })
    const oauth = authFetch(withOAuth(url, { store }), { dispatcher: agent })
    const plain = authFetch([], { dispatcher: agent })
    const contenders = [
      { name: 'undici.fetch', run: async () => (await undiciFetch(url, { ...init, dispatcher: agent })).text() },
      {
        name: 'undici.request',
        run: async () => (await request(url, { method: 'POST', headers: init.headers, body, dispatcher: agent })).body.text()
      },
      { name: 'global fetch', run: async () => (await fetch(url, init)).text() },
      { name: 'authFetch, no layer', run: async () => (await plain(url, init)).text() },
      { name: 'authFetch + bearer', run: async () => (await bearer(url, init)).text() },
      { name: 'authFetch + OAuth, cached token', run: async () => (await oauth(url, init)).text() }
    ]
    print('one 300-byte POST, answered as JSON, one after the other', await compare(contenders))
    print('the same, 64 at once', await compare(contenders, { calls: 64, concurrency: 64 }))
  } finally {
    server.kill()
    await agent.destroy()
    rmSync(root, { recursive: true, force: true })
  }
}

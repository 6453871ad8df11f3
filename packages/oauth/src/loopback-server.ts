import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { McpAuthError, secrets } from '@mcpauth/core'
import { type CallbackPage, callbackPage, contentSecurityPolicy } from './callback-page.ts'
import { sameState } from './login-state.ts'

/** For {@link listenForCallback}. */
export interface LoopbackOptions {
  /** `localhost` only for a client that was registered so: it listens on both addresses. @default '127.0.0.1' */
  readonly host?: '127.0.0.1' | '[::1]' | 'localhost'
  /** A fixed port, 1 to 65535; 0: any free one. @default 0 */
  readonly port?: number
  /** @default '/callback' */
  readonly path?: string
}

/** Waits on a loopback address for the browser to come back (RFC 8252 §7.3). */
export interface LoopbackServer {
  readonly redirectUri: string
  /**
   * The first redirect with this `state`. Everything else that arrives is answered and ignored, however much of it there is.
   * The tab that brought it keeps loading until `finish` or `close`.
   *
   * @param server The MCP server's name, for a tab that nobody finishes.
   */
  callback(state: string, signal: AbortSignal, server?: string): Promise<URLSearchParams>
  /** Answers the waiting tab. */
  finish(page: CallbackPage): void
  close(): void
}

const headers: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': contentSecurityPolicy,
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  connection: 'close'
}
// A tab is not kept loading for longer than this, whatever happens to the login.
const holdTabMs = 15_000

/**
 * Listens for one login. Host, method, path and `state` of a request must be right (the latter compared in constant time); the page is static.
 *
 * @throws `MCPAUTH_LOGIN_FAILED` the port is taken, or this machine has no such address.
 */
export async function listenForCallback(options: LoopbackOptions = {}): Promise<LoopbackServer> {
  const { host = '127.0.0.1', port = 0, path = '/callback' } = options
  let expected: { state: string; settle: (answer: URLSearchParams) => void } | undefined
  let tab: { response: ServerResponse; deadline: NodeJS.Timeout } | undefined
  let shown: CallbackPage = { outcome: 'unknown' }
  let answered = false

  function receive(request: IncomingMessage, response: ServerResponse): void {
    const answer = answerIn(request)
    if (typeof answer === 'number') refuse(response, answer)
    else if (!answered) accept(answer, response)
    // A second callback, or a reload of the tab: nothing happens again, but a person looks at it.
    else if (tab) refuse(response, 409)
    else show(response, shown)
  }

  function accept(answer: URLSearchParams, response: ServerResponse): void {
    answered = true
    const code = answer.get('code')
    if (code) secrets.add(code, 'authorization code')
    tab = { response, deadline: setTimeout(() => answerTab(shown), holdTabMs).unref() }
    expected?.settle(answer)
  }

  /** The parameters of a genuine callback, or the status that anything else gets. */
  function answerIn(request: IncomingMessage): URLSearchParams | number {
    if (request.headers.host?.toLowerCase() !== authority) return 421
    const url = parseTarget(request.url, authority)
    if (url?.pathname !== path) return 404
    if (request.method !== 'GET') return 405
    const given = url.searchParams
    const states = given.getAll('state')
    if (!expected || states.length !== 1 || !sameState(expected.state, states[0] as string)) return 400
    const once = ['code', 'error', 'iss'].every((name) => given.getAll(name).length <= 1)
    return once && given.has('code') !== given.has('error') ? given : 400
  }

  function answerTab(page: CallbackPage): void {
    shown = page
    if (!tab) return
    clearTimeout(tab.deadline)
    show(tab.response, page)
    tab = undefined
  }

  const servers = await listen(host, port, receive)
  const authority = `${host}:${(servers[0].address() as AddressInfo).port}`

  return {
    redirectUri: `http://${authority}${path}`,
    callback(state, signal, server) {
      if (server !== undefined) shown = { ...shown, server }
      return new Promise((settle, fail) => {
        const give = (): void => fail(signal.reason)
        if (signal.aborted) return give()
        signal.addEventListener('abort', give)
        expected = {
          state,
          settle(answer) {
            signal.removeEventListener('abort', give)
            settle(answer)
          }
        }
      })
    },
    finish: answerTab,
    close() {
      answerTab(shown)
      // Idle connections end with it.
      for (const server of servers) server.close()
    }
  }
}

async function listen(
  host: '127.0.0.1' | '[::1]' | 'localhost',
  port: number,
  receive: (request: IncomingMessage, response: ServerResponse) => void
): Promise<[Server, ...Server[]]> {
  const [first, second] = { '127.0.0.1': ['127.0.0.1'], '[::1]': ['::1'], localhost: ['127.0.0.1', '::1'] }[host] as [string, string?]
  const server = await listenOn(first, port, receive)
  if (second === undefined) return [server]
  // A machine without IPv6 resolves localhost to the address that is already served.
  const other = await listenOn(second, (server.address() as AddressInfo).port, receive).catch((error: unknown) => {
    if ((error as { addressMissing?: boolean }).addressMissing) return undefined
    server.close()
    throw error
  })
  return other ? [server, other] : [server]
}

async function listenOn(
  address: string,
  port: number,
  receive: (request: IncomingMessage, response: ServerResponse) => void
): Promise<Server> {
  // Loaded for a login only: it costs 20 ms at start-up.
  const { createServer } = await import('node:http')
  return await new Promise((settle, fail) => {
    const server = createServer({ maxHeaderSize: 32_768, requestTimeout: 10_000, headersTimeout: 10_000 }, receive)
    server.once('error', (error: NodeJS.ErrnoException) => fail(cannotListen(error.code, address, port)))
    server.listen({ host: address, port, exclusive: true }, () => settle(server))
  })
}

function cannotListen(code: string | undefined, address: string, port: number): McpAuthError {
  const facts: Record<string, [fact: string, hint: string]> = {
    EADDRINUSE: [
      `port ${port} on ${address}, where the login comes back to, is taken by another program`,
      'another login may be running; end it, or choose another port that the client is registered with'
    ],
    EACCES: [`port ${port} on ${address} may not be used by this user`, 'choose a port above 1023'],
    EADDRNOTAVAIL: [
      `this machine has no address ${address}`,
      `use the other loopback address: host: '${address === '::1' ? '127.0.0.1' : '[::1]'}'`
    ]
  }
  const [fact, hint] = facts[String(code)] ?? [
    `the login cannot listen on ${address} port ${port} (${code ?? 'unknown error'})`,
    'use pasteLogin()'
  ]
  const error = new McpAuthError('MCPAUTH_LOGIN_FAILED', fact, { hint })
  if (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT') Object.defineProperty(error, 'addressMissing', { value: true })
  return error
}

function show(response: ServerResponse, page: CallbackPage): void {
  const html = callbackPage(page)
  response.writeHead(200, { ...headers, 'content-length': Buffer.byteLength(html) }).end(html)
}

const refusals: Readonly<Record<number, string>> = {
  400: 'This is not the answer to the login that is waiting here.',
  404: 'There is nothing here.',
  405: 'Only GET is answered here.',
  409: 'This login has already been answered.',
  421: 'This address is not served here.'
}

/** Junk is answered with one static sentence: nothing of the request is in it. */
function refuse(response: ServerResponse, status: number): void {
  const text = `${refusals[status]}\n`
  const allow = status === 405 ? { allow: 'GET' } : {}
  response.writeHead(status, { ...headers, ...allow, 'content-type': 'text/plain; charset=utf-8', 'content-length': text.length }).end(text)
}

function parseTarget(target: string | undefined, authority: string): URL | undefined {
  // With a slash there the authority is over, and whatever follows is a path.
  return target?.startsWith('/') ? new URL(`http://${authority}${target}`) : undefined
}

import type { Readable } from 'node:stream'
import { commandUrl, invalidOption, McpAuthError, safeText } from '@mcpauth/core'
import type { CallbackPage } from './callback-page.ts'
import { loadAsking } from './load-asking.ts'
import type { Login, OpenLogin } from './login.ts'
import { type LoopbackServer, listenForCallback } from './loopback-server.ts'
import { browserUrl, openBrowser } from './open-browser.ts'

/** For {@link browserLogin}. */
export interface BrowserLoginOptions {
  /** false prints the URL only; a function opens it in its own way, and throws when it cannot. @default the system's browser */
  readonly open?: boolean | ((url: URL) => void | Promise<void>)
  /** A fixed port of the redirect URI, 1 to 65535, for a client that is registered with it. @default any free one */
  readonly port?: number
  /** The host of the redirect URI. `localhost` only for a client that is registered with it. @default '127.0.0.1' */
  readonly host?: '127.0.0.1' | '[::1]' | 'localhost'
  /** The path of the redirect URI. @default '/callback' */
  readonly path?: string
  /** How long the person has, in milliseconds, 1,000 to 3,600,000. @default 300_000 */
  readonly timeoutMs?: number
  /** Shows a line to the person; it holds no terminal escape. @default standard error */
  readonly print?: (line: string) => void
  /** Where a pasted address is read from when no browser could be opened. @default standard input, if it is a terminal */
  readonly input?: Readable
}

/**
 * Logs in through the person's browser, which comes back to a loopback address of this machine (RFC 8252).
 * A browser that cannot be opened (a container, SSH) is replaced by the printed URL and a prompt that takes the address it ends at.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 * @example
 * ```ts
 * import { browserLogin, oauthTokens } from '@mcpauth/oauth'
 *
 * const tokens = oauthTokens('https://mcp.example.com/mcp', { login: browserLogin() })
 * await tokens.login()
 * ```
 */
export function browserLogin(options: BrowserLoginOptions = {}): Login {
  const { open = true, host = '127.0.0.1', port = 0, path = '/callback', timeoutMs = 300_000, print = printToTerminal, input } = options
  validate({ open, host, port, path, timeoutMs })

  return async () => {
    const listener = await listenForCallback({ host, port, path })
    let server: string | undefined

    async function ask(url: URL, state: string, signal?: AbortSignal): Promise<URLSearchParams> {
      const checked = browserUrl(url)
      server = serverNamed(checked)
      const ending = new AbortController()
      const timer = setTimeout(() => ending.abort(nobodyCame(checked, timeoutMs)), timeoutMs)
      const over = signal ? AbortSignal.any([signal, ending.signal]) : ending.signal
      try {
        return await Promise.race([listener.callback(state, over, server), showTo(checked, state, listener, over)])
      } finally {
        clearTimeout(timer)
        // Ends the prompt when the listener was first, and the other way round.
        ending.abort()
      }
    }

    /** Shows the URL to the person; resolves only when the person pastes an answer. */
    async function showTo(url: URL, state: string, { redirectUri }: LoopbackServer, over: AbortSignal): Promise<URLSearchParams> {
      const opened = open !== false && (await openWith(open, url, print))
      if (over.aborted) return never
      if (opened) {
        // What opens URLs here may say that it did and show nothing.
        print('If no window appears, open this address:')
        print(`  ${url.href}`)
        return never
      }
      print(`Open this address in a browser to log in${server === undefined ? '' : ` to ${server}`}:`)
      print(`  ${url.href}`)
      const source = input ?? (process.stdin.isTTY ? process.stdin : undefined)
      if (!source) return never
      const { readPastedRedirect } = await loadAsking()
      if (over.aborted) return never
      // It reads before it is announced, so that nothing that is typed at once is lost.
      const pasted = readPastedRedirect({ redirectUri, state, input: source, print, signal: over })
      print('If that browser is on another machine, it ends at a page that does not load: paste the address of that page here.')
      return (await pasted) ?? never
    }

    return {
      redirectUri: listener.redirectUri,
      ask,
      finish: (problem) => listener.finish(pageFor(problem, server)),
      close: listener.close
    } satisfies OpenLogin
  }
}

const never: Promise<URLSearchParams> = new Promise(() => {})

async function openWith(open: true | ((url: URL) => void | Promise<void>), url: URL, print: (line: string) => void): Promise<boolean> {
  // The host is said first, so that the person knows where the browser is about to go.
  print(`Opening ${url.host} in your browser …`)
  try {
    if (open === true) return await openBrowser(url)
    await open(url)
    return true
  } catch {
    return false
  }
}

/** The MCP server, as the authorization URL names it (RFC 8707). */
function serverNamed(url: URL): string | undefined {
  const resource = url.searchParams.get('resource')
  return resource && URL.canParse(resource) ? safeText(new URL(resource).host) : undefined
}

function pageFor(problem: unknown, server: string | undefined): CallbackPage {
  const named = server === undefined ? {} : { server }
  if (problem === undefined) return { outcome: 'success', ...named }
  if (!McpAuthError.is(problem)) return { outcome: 'failure', ...named }
  return { outcome: 'failure', ...named, reason: problem.message, ...(problem.hint === undefined ? {} : { advice: problem.hint }) }
}

function nobodyCame(url: URL, timeoutMs: number): McpAuthError {
  return new McpAuthError('MCPAUTH_LOGIN_FAILED', `nobody came back from ${safeText(url.host)} within ${Math.round(timeoutMs / 1000)} s`, {
    hint: `log in again; if the browser showed an error page there, the client registration is suspect: npx @mcpauth/cli login --new-registration ${commandUrl(url.searchParams.get('resource') ?? undefined)}`
  })
}

function printToTerminal(line: string): void {
  process.stderr.write(`${line}\n`)
}

function validate({ open, host, port, path, timeoutMs }: Record<'open' | 'host' | 'port' | 'path' | 'timeoutMs', unknown>): void {
  if (typeof open !== 'boolean' && typeof open !== 'function') throw invalidOption('open', 'is neither true, false nor a function')
  if (host !== '127.0.0.1' && host !== '[::1]' && host !== 'localhost')
    throw invalidOption('host', "is none of '127.0.0.1', '[::1]' and 'localhost'")
  if (!Number.isInteger(port) || (port as number) < 0 || (port as number) > 65_535) throw invalidOption('port', 'is not a port, 0 to 65535')
  // With dot segments the browser would come back to another path than the one that is listened for.
  if (typeof path !== 'string' || !/^\/[\w\-./~]*$/.test(path) || new URL(`http://127.0.0.1${path}`).pathname !== path)
    throw invalidOption('path', 'is not a path of letters, digits, and - . _ ~ /, without dot segments')
  if (typeof timeoutMs !== 'number' || !(timeoutMs >= 1_000 && timeoutMs <= 3_600_000)) {
    throw invalidOption('timeoutMs', 'is not a number of milliseconds, 1,000 to 3,600,000')
  }
}

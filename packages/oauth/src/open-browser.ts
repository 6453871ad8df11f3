import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { isLoopbackHost, McpAuthError } from '@mcpauth/core'

/** A program and its arguments; the URL is one of them. */
export type Opener = readonly [program: string, ...args: string[]]

/** For {@link openBrowser}. */
export interface OpenBrowserOptions {
  /** @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** @default process.platform */
  readonly platform?: string
}

// Windows takes command lines of 32,767 characters; no authorization server takes URLs near this.
const maxUrlLength = 16_384
// An opener that is still running by then is a browser in the foreground.
const settledAfterMs = 3_000

/**
 * Checks a URL before a person's browser is sent there: https (http only to this machine), no user name, no fragment, of bearable length.
 * What it returns went through the WHATWG parser: it starts with `http`, and holds neither a space, a quote, a control character nor a line break.
 *
 * @throws `MCPAUTH_ADDRESS_REFUSED`
 * @see RFC 6749 §3.1 (no fragment); REQUIREMENTS N35, T1
 */
export function browserUrl(endpoint: string | URL): URL {
  const text = String(endpoint)
  const url = URL.canParse(text) ? new URL(text) : undefined
  const problem = url ? problemWith(url) : 'it is not a URL'
  if (!url || problem) {
    throw new McpAuthError('MCPAUTH_ADDRESS_REFUSED', `the authorization URL is not one to open in a browser: ${problem}`, {
      hint: 'the metadata of the authorization server is wrong or hostile; tell its operator'
    })
  }
  return url
}

function problemWith(url: URL): string | undefined {
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopbackHost(url.hostname))) return 'it is not https'
  if (url.username || url.password) return 'it holds a user name'
  if (url.hash) return 'it holds a fragment'
  return url.href.length > maxUrlLength ? 'it is too long' : undefined
}

/**
 * Opens a URL in the person's browser. Never through a shell: the URL is one argument of the program that opens it.
 *
 * @returns Whether a browser was opened, as far as one can tell. false: show the URL instead.
 * @throws `MCPAUTH_ADDRESS_REFUSED` see {@link browserUrl}
 */
export async function openBrowser(url: URL, options: OpenBrowserOptions = {}): Promise<boolean> {
  const { href } = browserUrl(url)
  // biome-ignore lint/style/noProcessEnv: the default of an injectable option
  const { env = process.env, platform = process.platform } = options
  // xdg-open looks at $BROWSER as well, and hands it to a shell: what is to be done with it has been done here.
  const { BROWSER: _, ...rest } = env
  for (const opener of openers(href, env, platform)) {
    if (await run(opener, rest)) return true
  }
  return false
}

/** What to try, in order. `$BROWSER` first, as a list separated by colons, each entry with `%s` for the URL or with the URL appended. */
export function openers(href: string, env: Readonly<Record<string, string | undefined>>, platform: string): Opener[] {
  const chosen = (env.BROWSER ?? '')
    .split(platform === 'win32' ? ';' : ':')
    .filter((entry) => entry.trim() !== '')
    .map((entry) => browserEntry(entry.trim(), href))
  return [...chosen, ...systemOpeners(href, env, platform)]
}

function systemOpeners(href: string, env: Readonly<Record<string, string | undefined>>, platform: string): Opener[] {
  // Absolute where the system has a fixed place for it: on Windows the current folder is searched first.
  if (platform === 'win32') return [[`${env.SystemRoot ?? 'C:\\Windows'}\\System32\\rundll32.exe`, 'url.dll,FileProtocolHandler', href]]
  if (platform === 'darwin') return [['/usr/bin/open', href]]
  const windowsBehind: Opener[] = env.WSL_DISTRO_NAME
    ? [
        ['wslview', href],
        ['/mnt/c/Windows/System32/rundll32.exe', 'url.dll,FileProtocolHandler', href]
      ]
    : []
  // Without a display xdg-open falls back to a text browser, which would fight for the terminal.
  return env.DISPLAY || env.WAYLAND_DISPLAY ? [...windowsBehind, ['xdg-open', href]] : windowsBehind
}

function browserEntry(entry: string, href: string): Opener {
  // A path with spaces in it is one program, not a program and arguments.
  const words = existsSync(entry) ? [entry] : entry.split(/\s+/)
  const argv = words.some((word) => word.includes('%s')) ? words.map((word) => word.replaceAll('%s', () => href)) : [...words, href]
  return argv as [string, ...string[]]
}

async function run([program, ...args]: Opener, env: Readonly<Record<string, string | undefined>>): Promise<boolean> {
  const { spawn } = await import('node:child_process')
  return await new Promise((settle) => {
    let child: ChildProcess
    try {
      child = spawn(program, args, { stdio: 'ignore', detached: true, shell: false, windowsHide: true, env: env as NodeJS.ProcessEnv })
    } catch {
      return settle(false)
    }
    const stillRunning = setTimeout(() => settle(true), settledAfterMs)
    const end = (opened: boolean): void => {
      clearTimeout(stillRunning)
      settle(opened)
    }
    child.once('error', () => end(false))
    child.once('exit', (code) => end(code === 0))
    child.unref()
  })
}

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { invalidOption, loginCommand, McpAuthError, parseServerUrl, type StoreKey } from '@mcpauth/core'
import { browserLogin, type DevicePrompt, deviceLogin, type OAuthOptions, oauthTokens, pasteLogin } from '@mcpauth/oauth'
import { fileStore } from '@mcpauth/token-store'
import { exitCodes, type Terminal } from '../terminal.ts'
import { describe } from './status.ts'

/** The options of `mcpauth login`. */
export interface LoginFlags {
  /** false for `--no-browser`. */
  browser: boolean
  device?: boolean
  scope?: string
  profile?: string
  clientId?: string
  clientSecretEnv?: string
  clientSecretFile?: string
  port?: number
  /** In seconds. */
  timeout?: number
  newRegistration?: boolean
  interactive?: boolean
}

/** As long as a refresh in another process may take. */
const lockWaitMs = 180_000

/** Logs a person in. Where there is no person it says at once what to run where there is one: nothing is bound and nothing opened. */
export async function login(url: string, flags: LoginFlags, terminal: Terminal): Promise<number> {
  const server = parseServerUrl(url)
  if (!terminal.interactive && !flags.interactive) throw nobodyThere(server, flags.profile)
  const store = fileStore()
  const tokens = oauthTokens(server, { ...identity(flags), ...patience(flags), ...way(flags, terminal), store })
  const key = keyOf(server, flags)
  await tellingDelay(terminal, async () => {
    // A program goes on in memory where nothing can be written; this one ends, and a person would have been asked for nothing.
    await store.transact(key, (held) => held.read(), { deadlineMs: lockWaitMs })
    await tokens.login({ ...(flags.newRegistration ? { newRegistration: true } : {}) })
  })
  const status = await tokens.status()
  if (((await store.read(key))?.generation ?? 0) < (status.generation ?? 0)) throw notKept(store.root)
  terminal.answer(describe(status))
  return exitCodes.done
}

function keyOf(server: URL, { profile }: LoginFlags): StoreKey {
  return { kind: 'server', url: server.href, ...(profile === undefined ? {} : { profile }) }
}

function notKept(root: string | undefined): McpAuthError {
  return new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', `the login worked, but its tokens could not be written to ${root}`, {
    hint: 'free some space there, or name another folder with MCPAUTH_AUTH_DIR, then log in again'
  })
}

/** How long nothing may happen without a word, in milliseconds. */
const silenceMs = 3_000

/** Says what a login waits for when it does not begin: of several at once one asks, and the others wait minutes for it. */
async function tellingDelay(terminal: Terminal, work: () => Promise<unknown>): Promise<void> {
  const timer = setTimeout(() => terminal.tell('Waiting for the server, or for another login to it in another terminal …'), silenceMs)
  const begun = (): void => clearTimeout(timer)
  subscribe('mcpauth:login:started', begun)
  try {
    await work()
  } finally {
    begun()
    unsubscribe('mcpauth:login:started', begun)
  }
}

function identity({ scope, profile, clientId, clientSecretEnv, clientSecretFile }: LoginFlags): OAuthOptions {
  if (clientId === undefined && (clientSecretEnv ?? clientSecretFile) !== undefined)
    throw invalidOption('--client-id', 'is needed with a secret')
  const secret = clientSecretEnv === undefined ? clientSecretFile && { file: clientSecretFile } : { env: clientSecretEnv }
  return {
    ...(scope === undefined ? {} : { scope }),
    ...(profile === undefined ? {} : { profile }),
    ...(clientId === undefined ? {} : { client: { clientId, ...(secret ? { clientSecret: secret } : {}) } })
  }
}

function way({ device, browser, port, timeout }: LoginFlags, terminal: Terminal): OAuthOptions {
  const print = (line: string): void => terminal.tell(line)
  if (device) return { grant: deviceLogin({ show: (prompt) => showCode(prompt, terminal) }) }
  const options = { print, ...(port === undefined ? {} : { port }), ...(timeout === undefined ? {} : { timeoutMs: timeout * 1000 }) }
  return { login: browser ? browserLogin(options) : pasteLogin(options) }
}

function patience({ timeout }: LoginFlags): OAuthOptions {
  if (timeout === undefined) return {}
  if (!(timeout >= 1 && timeout <= 3600)) throw invalidOption('--timeout', 'is not a number of seconds from 1 to 3600')
  return { loginTimeoutMs: timeout * 1000 }
}

function nobodyThere(server: URL, profile: string | undefined): McpAuthError {
  return new McpAuthError('MCPAUTH_LOGIN_REQUIRED', 'a login needs a person, and this is not a terminal', {
    hint: `run in a terminal: ${loginCommand(server, profile)} (or add --interactive when a person is watching)`
  })
}

function showCode({ verificationUri, verificationUriComplete, userCode, expiresInSeconds }: DevicePrompt, terminal: Terminal): void {
  terminal.tell(`Open ${verificationUri} on any device and type the code ${userCode}`)
  if (verificationUriComplete !== undefined) terminal.tell(`or open ${verificationUriComplete}`)
  terminal.tell(`The code is good for ${Math.max(1, Math.round(expiresInSeconds / 60))} min.`)
}

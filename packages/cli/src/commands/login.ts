import { commandUrl, invalidOption, McpAuthError, parseServerUrl } from '@mcpauth/core'
import { browserLogin, type DevicePrompt, deviceLogin, type OAuthOptions, oauthTokens, pasteLogin } from '@mcpauth/oauth'
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

/** Logs a person in. Where there is no person it says at once what to run where there is one: nothing is bound and nothing opened. */
export async function login(url: string, flags: LoginFlags, terminal: Terminal): Promise<number> {
  const server = parseServerUrl(url)
  if (!terminal.interactive && !flags.interactive) throw nobodyThere(server)
  const tokens = oauthTokens(server, { ...identity(flags), ...patience(flags), ...way(flags, terminal) })
  await tokens.login({ ...(flags.newRegistration ? { newRegistration: true } : {}) })
  terminal.answer(describe(await tokens.status()))
  return exitCodes.done
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

function nobodyThere(server: URL): McpAuthError {
  return new McpAuthError('MCPAUTH_LOGIN_REQUIRED', 'a login needs a person, and this is not a terminal', {
    hint: `run in a terminal: mcpauth login ${commandUrl(server)} (or add --interactive when a person is watching)`
  })
}

function showCode({ verificationUri, verificationUriComplete, userCode, expiresInSeconds }: DevicePrompt, terminal: Terminal): void {
  terminal.tell(`Open ${verificationUri} on any device and type the code ${userCode}`)
  if (verificationUriComplete !== undefined) terminal.tell(`or open ${verificationUriComplete}`)
  terminal.tell(`The code is good for ${Math.max(1, Math.round(expiresInSeconds / 60))} min.`)
}

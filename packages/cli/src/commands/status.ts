import { loginCommand, parseServerUrl } from '@mcpauth/core'
import { type OAuthStatus, oauthTokens } from '@mcpauth/oauth'
import { fileStore } from '@mcpauth/token-store'
import { exitCodes, type Terminal } from '../terminal.ts'

/** The options of `mcpauth status`. */
export interface StatusFlags {
  json?: boolean
  profile?: string
}

/** Shows one login, or all. Ends with 3 when the one that was asked for is not there. */
export async function status(url: string | undefined, flags: StatusFlags, terminal: Terminal): Promise<number> {
  const known = url === undefined ? await all(flags) : [await one(parseServerUrl(url), flags.profile)]
  if (flags.json) terminal.answer(JSON.stringify(url === undefined ? known : known[0]))
  else if (known.length === 0) terminal.answer(`no logins on this machine; log in with: ${loginCommand(undefined)}`)
  else for (const login of known) terminal.answer(describe(login))
  return url !== undefined && !known[0]?.loggedIn ? exitCodes.loginRequired : exitCodes.done
}

function one(server: URL | string, profile: string | undefined): Promise<OAuthStatus> {
  return oauthTokens(server, profile === undefined ? {} : { profile }).status()
}

async function all({ profile }: StatusFlags): Promise<OAuthStatus[]> {
  const keys = await fileStore().list()
  const servers = keys.filter((key) => key.kind === 'server')
  return await Promise.all(
    servers.filter((key) => profile === undefined || key.profile === profile).map((key) => one(key.url, key.profile))
  )
}

/** One login in one line. */
export function describe(login: OAuthStatus, nowMs: number = Date.now()): string {
  const who = login.profile === undefined ? login.server : `${login.server} (${login.profile})`
  if (!login.loggedIn) return `${who}: not logged in; log in with: ${loginCommand(login.server, login.profile)}`
  const facts = [
    login.issuer === undefined ? 'logged in' : `logged in through ${login.issuer}`,
    login.scope === undefined ? undefined : `for ${login.scope}`,
    lifetime(login, nowMs)
  ]
  return `${who}: ${facts.filter((fact) => fact !== undefined).join(', ')}`
}

function lifetime({ expiresAt, canRefresh, server, profile }: OAuthStatus, nowMs: number): string | undefined {
  if (expiresAt === undefined) return canRefresh ? 'renewed by itself' : undefined
  const minutes = Math.round((expiresAt.getTime() - nowMs) / 60_000)
  if (canRefresh) return minutes > 0 ? `token good for ${span(minutes)}, then renewed by itself` : 'token renewed at the next request'
  return minutes > 0
    ? `token good for ${span(minutes)}, then log in again`
    : `token expired; log in again with: ${loginCommand(server, profile)}`
}

function span(minutes: number): string {
  if (minutes < 120) return `${minutes} min`
  return minutes < 2_880 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1_440)} days`
}

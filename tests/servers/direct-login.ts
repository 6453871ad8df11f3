import { createHash, randomBytes } from 'node:crypto'
import type { AuthorizationServer } from './authorization-server.ts'
import { approve } from './scripted-user.ts'

/** Tokens and the client they belong to, got by hand. */
export interface DirectLogin {
  access_token: string
  refresh_token: string
  token_type: string
  scope?: string
  expires_in: number
  client_id: string
  token_endpoint: string
  issuer: string
  resource: string
}

/** What an authorization server said, whatever it was. */
export interface Answer {
  status: number
  body: Record<string, unknown>
}

const redirectUri = 'http://127.0.0.1/callback'

/**
 * Logs in at an authorization server with nothing but fetch: registration, PKCE, approval, code. For tests that need tokens
 * but are not about getting them.
 */
export async function directLogin(
  server: AuthorizationServer,
  resource: string | URL,
  options: { scope?: string; account?: string } = {}
): Promise<DirectLogin> {
  const { issuer } = server
  const { scope = 'mcp:tools' } = options
  const registration = await post(`${issuer}/reg`, 'application/json', {
    client_name: 'by hand',
    application_type: 'native',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none'
  })
  const client_id = String(registration.body.client_id)
  const verifier = randomBytes(32).toString('base64url')
  const authorization = new URL('/auth', issuer)
  authorization.search = new URLSearchParams({
    response_type: 'code',
    client_id,
    redirect_uri: redirectUri,
    scope,
    resource: String(resource),
    state: 'by-hand',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256'
  }).toString()
  const callback = await approve(authorization, { followCallback: false, ...(options.account ? { account: options.account } : {}) })
  const token_endpoint = `${issuer}/token`
  const { status, body } = await postForm(token_endpoint, {
    grant_type: 'authorization_code',
    code: callback.searchParams.get('code') ?? '',
    redirect_uri: redirectUri,
    client_id,
    code_verifier: verifier,
    resource: String(resource)
  })
  if (status !== 200) throw new Error(`the direct login failed with ${status}: ${String(body.error)}`)
  return { ...(body as unknown as DirectLogin), client_id, token_endpoint, issuer, resource: String(resource) }
}

/** Asks for a refresh by hand. */
export function directRefresh(login: DirectLogin, refreshToken: string = login.refresh_token): Promise<Answer> {
  const { client_id, resource } = login
  return postForm(login.token_endpoint, { grant_type: 'refresh_token', refresh_token: refreshToken, client_id, resource })
}

export function postForm(url: string | URL, fields: Record<string, string>): Promise<Answer> {
  return post(url, 'application/x-www-form-urlencoded', fields)
}

async function post(url: string | URL, type: string, fields: Record<string, unknown>): Promise<Answer> {
  const body = type === 'application/json' ? JSON.stringify(fields) : new URLSearchParams(fields as Record<string, string>).toString()
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': type }, body, redirect: 'manual' })
  const text = await response.text()
  return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : {} }
}

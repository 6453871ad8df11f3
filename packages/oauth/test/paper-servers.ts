import { memoryStore } from '@mcpauth/token-store'
import { expect } from 'vitest'
import type { AuthorizationContext } from '../src/authorization-context.ts'
import { dpopNonces } from '../src/dpop.ts'
import { dpopProofs } from '../src/dpop-proofs.ts'
import type { Grant } from '../src/grants/grant.ts'
import { checkOptions, type OAuthOptions } from '../src/options.ts'

/** A server and its authorization server that exist on paper only: nothing of them is on the wire, so that a thousand of them cost nothing. */
export const paper = {
  mcp: 'https://mcp.example.com/mcp',
  issuer: 'https://as.example.com',
  key: { kind: 'server', url: 'https://mcp.example.com/mcp' } as const
}

/** One request to the authorization server. */
export interface Asked {
  url: string
  form: URLSearchParams
}

/** How the authorization server answers a request; undefined: in its own way. */
export type PaperAnswer = (asked: Asked) => Response | undefined

export function paperContext(options: OAuthOptions = {}, answer: PaperAnswer = () => undefined): AuthorizationContext & { asked: Asked[] } {
  const settings = checkOptions(paper.mcp, { store: memoryStore(), env: {}, ...options })
  const documents: Record<string, unknown> = {
    'https://mcp.example.com/.well-known/oauth-protected-resource/mcp': { resource: paper.mcp, authorization_servers: [paper.issuer] },
    [`${paper.issuer}/.well-known/oauth-authorization-server`]: {
      issuer: paper.issuer,
      authorization_endpoint: `${paper.issuer}/authorize`,
      token_endpoint: `${paper.issuer}/token`,
      registration_endpoint: `${paper.issuer}/register`,
      code_challenge_methods_supported: ['S256']
    }
  }
  const asked: Asked[] = []
  let clients = 0
  const network: AuthorizationContext['network'] = {
    readMetadata: async (url) => structuredClone(documents[url.href]),
    send: async (url, _what, { body = '' }) => {
      const request = { url: url.href, form: new URLSearchParams(body) }
      asked.push(request)
      const given = answer(request)
      if (given) return given
      if (url.pathname === '/register') {
        clients += 1
        return Response.json({ ...JSON.parse(body), client_id: `client-${clients}` }, { status: 201 })
      }
      return Response.json({ access_token: `access-${asked.length}`, refresh_token: `refresh-${asked.length}`, token_type: 'bearer' })
    }
  }
  return {
    settings,
    discovery: { server: settings.server, network, guard: { checkUrl: () => undefined } },
    network,
    networkFrom: () => expect.unreachable(),
    proofs: dpopProofs(dpopNonces(), settings.now),
    asked
  }
}

/** A grant that does as it is told, and counts. */
export function paperGrant(run: () => Promise<unknown>, properties: Partial<Grant> = {}): Grant & { times: number } {
  const grant = Object.assign(
    async () => {
      grant.times += 1
      const more = await run()
      return { access_token: `granted-${grant.times}`, token_type: 'bearer', ...(more as object | undefined) } as never
    },
    { grantType: 'client_credentials', times: 0, ...properties }
  )
  return grant
}

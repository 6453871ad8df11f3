import { describe, expect, test } from 'vitest'
import { type Grant, jwtBearer, refreshTokenOnly, tokenExchange, workloadIdentity } from '../src/index.ts'
import { belongsToIssuer, checkClientIssuer, checkSecretIssuer } from '../src/issuer-binding.ts'
import { paper, paperSource } from './paper-servers.ts'

const server = new URL('https://mcp.example.com/mcp')
const as = 'https://as.example.com'

test.each<[string, boolean, string | undefined, string[]]>([
  ['the issuer that is named', true, as, [as]],
  ['one of several that are named', true, as, ['https://other.example', as]],
  ['an issuer that is not named', false, as, ['https://other.example']],
  ['an issuer where none is named', false, as, []],
  ['an issuer that is written in another way', false, as, [`${as}/`]],
  ['an issuer that is not named, although the server’s own is', false, as, ['https://mcp.example.com']],
  ['nobody, where the server names itself', true, undefined, ['https://mcp.example.com/tenant']],
  ['nobody, where the server is among those it names', true, undefined, [as, 'https://mcp.example.com']],
  ['nobody, where the server names another', false, undefined, [as]],
  ['nobody, where the server names its own name at another port', false, undefined, ['https://mcp.example.com:8443']],
  ['nobody, where what is named is no URL', false, undefined, ['mcp.example.com']],
  ['nobody, where none is named', false, undefined, []]
])('T2: tokens of %s belong here: %s', (_name, expected, issuer, issuers) => {
  expect(belongsToIssuer(issuer === undefined ? {} : { issuer }, issuers, server)).toBe(expected)
})

test('N15, N16: a client is used at the issuer where it is registered, to the letter, and where nobody knows', () => {
  expect(() => checkClientIssuer('mine', as, as)).not.toThrow()
  expect(() => checkClientIssuer('mine', undefined, as)).not.toThrow()
  for (const elsewhere of ['https://evil.example', `${as}/`, as.toUpperCase()]) {
    expect(() => checkClientIssuer('mine', as, elsewhere)).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_CLIENT_MISMATCH', message: expect.stringContaining(elsewhere) })
    )
  }
})

describe('T2: the secret that a grant brings', () => {
  const evil = 'https://evil.example'
  const document = 'https://app.example/client.json'
  const portable = { clientId: document }

  test.each<[string, Parameters<typeof checkSecretIssuer>]>([
    ['nothing is known of the time before', [{}, undefined, evil]],
    ['it went there before', [{}, as, as]],
    ['the user’s own client has been checked', [{ client: { clientId: 'mine' } }, as, evil]],
    ['the user has named the token endpoint', [{ tokenUrl: 'https://as.example.com/token' }, as, evil]],
    ['the user has named the issuer', [{ client: { ...portable, issuer: as }, clientMetadataUrl: document }, evil, as]]
  ])('is sent where %s', (_name, given) => {
    expect(() => checkSecretIssuer(...given)).not.toThrow()
  })

  test.each<[string, Parameters<typeof checkSecretIssuer>]>([
    ['it went elsewhere before', [{}, as, evil]],
    ['it went elsewhere before, to the letter', [{}, as, `${as}/`]],
    ['it went elsewhere before, although the client is at home everywhere', [{ client: portable, clientMetadataUrl: document }, as, evil]],
    ['the user has named another', [{ client: { ...portable, issuer: as }, clientMetadataUrl: document }, undefined, evil]]
  ])('is not sent where %s', (_name, [settings, before, issuer]) => {
    expect(() => checkSecretIssuer(settings, before, issuer)).toThrow(
      expect.objectContaining({
        code: 'MCPAUTH_CLIENT_MISMATCH',
        message: expect.stringContaining(issuer),
        hint: expect.stringContaining('tokenUrl')
      })
    )
  })

  const source = (): string => 'the-secret-of-the-user'
  const grants: Record<string, () => Grant> = {
    refreshTokenOnly: () => refreshTokenOnly({ refreshToken: source }),
    jwtBearer: () => jwtBearer({ assertion: source }),
    workloadIdentity: () => workloadIdentity({ token: source }),
    tokenExchange: () => tokenExchange({ subjectToken: source })
  }

  test.each(Object.entries(grants))(
    '%s: does not follow a server to another authorization server, nor after a logout',
    async (_name, grantOf) => {
      const { tokens, refuse, documents, asked, tokenRequests } = paperSource({ grant: grantOf() })
      const first = await refuse(undefined)
      expect(String(tokenRequests())).toContain('the-secret-of-the-user')
      documents['https://mcp.example.com/.well-known/oauth-protected-resource/mcp'] = { resource: paper.mcp, authorization_servers: [evil] }
      documents[`${evil}/.well-known/oauth-authorization-server`] = {
        issuer: evil,
        token_endpoint: `${evil}/token`,
        registration_endpoint: `${evil}/register`
      }
      await expect(refuse(first, { accepted: true })).rejects.toMatchObject({ code: 'MCPAUTH_CLIENT_MISMATCH' })
      await tokens.logout()
      await expect(tokens.login()).rejects.toMatchObject({ code: 'MCPAUTH_CLIENT_MISMATCH' })
      expect(asked.filter(({ url }) => url.startsWith(evil))).toEqual([])
    }
  )
})

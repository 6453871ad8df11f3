import { expect, test } from 'vitest'
import { enterpriseAuthorization, tokenExchange } from '../src/index.ts'
import { asking, good } from './paper-asking.ts'

const urn = 'urn:ietf:params:oauth:token-type:'
const invalid = (option: string) =>
  expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringContaining(`option ${option}:`) })

test.each([
  [undefined, `${urn}access_token`],
  ['jwt', `${urn}jwt`],
  ['urn:example:type', 'urn:example:type']
])('a token exchange with the type %j sends the type %j, and wants an access token for the resource', async (given, sentType) => {
  const { ask, sent } = asking({ resource: 'https://mcp.example.com/mcp', scope: 'read' })
  const grant = tokenExchange({ subjectToken: () => 'the-subject-token', ...(given === undefined ? {} : { subjectTokenType: given }) })
  expect(grant.grantType).toBe('urn:ietf:params:oauth:grant-type:token-exchange')
  expect(await grant(ask)).toMatchObject({ access_token: good.access_token })
  expect(sent).toMatchObject([{ what: 'the token exchange', url: 'https://as.example.com/token' }])
  expect(sent[0]?.form).toEqual({
    client_id: 'c',
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    resource: 'https://mcp.example.com/mcp',
    scope: 'read',
    subject_token: 'the-subject-token',
    subject_token_type: sentType,
    requested_token_type: `${urn}access_token`
  })
})

test('a token exchange names an audience where the user does', async () => {
  const { ask, sent } = asking({})
  await tokenExchange({ subjectToken: () => 'the-subject-token', audience: 'somebody' })(ask)
  expect(sent[0]?.form.audience).toBe('somebody')
})

test('a subject token that is not there is named as the option that it is, and nothing is sent', async () => {
  const { ask, sent } = asking({ env: {} })
  await expect(tokenExchange({ subjectToken: { env: 'NONE' } })(ask)).rejects.toMatchObject({
    code: 'MCPAUTH_CREDENTIAL_MISSING',
    message: expect.stringContaining('grant.subjectToken')
  })
  expect(sent).toEqual([])
})

test.each<[string, Record<string, unknown>]>([
  ['grant.subjectToken', { subjectToken: 'a literal' }],
  ['grant.subjectTokenType', { subjectTokenType: '' }],
  ['grant.subjectTokenType', { subjectTokenType: 7 }]
])('a token exchange with a bad %s is refused at construction: %j', (name, change) => {
  expect(() => tokenExchange({ subjectToken: () => 'x', ...change } as never)).toThrow(invalid(name))
})

const idp = 'https://idp.example.com'
const company = { issuer: idp, tokenUrl: `${idp}/token`, client: { clientId: 'at-idp' }, idToken: () => 'the.id.token' }

test.each<[string, Record<string, unknown>]>([
  ['grant.issuer', { issuer: 'http://idp.example.com' }],
  ['grant.tokenUrl', { tokenUrl: 'http://idp.example.com/token' }],
  ['grant.client.clientId', { client: { clientId: '' } }],
  ['grant.client.clientName', { client: { clientId: 'c', clientName: 'not one of these' } }],
  ['grant.idToken', { idToken: 'a literal' }]
])('an enterprise authorization with a bad %s is refused at construction', (name, change) => {
  expect(() => enterpriseAuthorization({ ...company, ...change } as never)).toThrow(invalid(name))
})

const idJag = { access_token: 'the.id.jag', token_type: 'N_A', issued_token_type: `${urn}id-jag` }

test('N37 N26: the provider sees the ID token and no proof of ours, the authorization server the assertion, each by its own road', async () => {
  const there = asking({}, Response.json(idJag))
  const roots: string[] = []
  const networkFrom = (root: URL) => {
    roots.push(root.href)
    return { network: there.ask.network } as never
  }
  const dpop = { proof: () => 'a-proof', observe: () => false }
  const { ask, sent } = asking({ networkFrom, dpop, env: {}, now: Date.now, resource: 'https://mcp.example.com/mcp', scope: 'read' })
  const grant = enterpriseAuthorization(company)
  expect(grant.grantType).toBe('urn:ietf:params:oauth:grant-type:jwt-bearer')
  expect(grant).not.toHaveProperty('prepare')
  expect(await grant(ask)).toMatchObject({ access_token: good.access_token })
  expect(roots).toEqual([`${idp}/token`])
  expect(there.sent).toMatchObject([{ url: `${idp}/token`, what: "the identity provider's token exchange" }])
  expect(there.sent[0]?.headers.has('dpop')).toBe(false)
  expect(there.sent[0]?.form).toEqual({
    client_id: 'at-idp',
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    resource: 'https://mcp.example.com/mcp',
    scope: 'read',
    subject_token: 'the.id.token',
    subject_token_type: `${urn}id_token`,
    requested_token_type: `${urn}id-jag`,
    audience: 'https://as.example.com'
  })
  expect(sent).toMatchObject([{ url: 'https://as.example.com/token', what: 'the JWT bearer grant' }])
  expect(sent[0]?.headers.get('dpop')).toBe('a-proof')
  expect(sent[0]?.form).toEqual({
    client_id: 'c',
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    resource: 'https://mcp.example.com/mcp',
    scope: 'read',
    assertion: 'the.id.jag'
  })
})

/** The provider's answer in an exchange whose ID token is the user's. */
function providerSays(answer: Response) {
  const there = asking({}, answer)
  const { ask, sent } = asking({ networkFrom: () => ({ network: there.ask.network }) as never, env: { ID_TOKEN: 'a.b.c' }, now: Date.now })
  return { grant: () => enterpriseAuthorization({ ...company, idToken: { env: 'ID_TOKEN' } })(ask), sent, there: there.sent }
}

test('N37: an assertion whose type nobody names is passed on, one of another type is not', async () => {
  const untold = providerSays(Response.json({ ...idJag, issued_token_type: undefined }))
  await untold.grant()
  expect(untold.there[0]?.form.subject_token).toBe('a.b.c')
  expect(untold.sent[0]?.form.assertion).toBe('the.id.jag')
  const other = providerSays(Response.json({ ...idJag, issued_token_type: `${urn}access_token` }))
  await expect(other.grant()).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE', status: 200 })
  expect(other.sent).toEqual([])
})

test('N37: a provider’s no goes to the caller as it is, where the ID token is not a login of ours', async () => {
  const { grant, sent } = providerSays(Response.json({ error: 'invalid_grant' }, { status: 400 }))
  await expect(grant()).rejects.toMatchObject({ error: 'invalid_grant' })
  expect(sent).toEqual([])
})

test('N37: an ID token that is not there is named as the option that it is', async () => {
  const { ask } = asking({ networkFrom: () => ({ network: undefined }) as never, env: {}, now: Date.now })
  await expect(enterpriseAuthorization({ ...company, idToken: { env: 'NONE' } })(ask)).rejects.toMatchObject({
    message: expect.stringContaining('grant.idToken')
  })
  await expect(
    enterpriseAuthorization({ ...company, client: { clientId: 'c', clientSecret: { env: 'NONE' } } })(ask)
  ).rejects.toMatchObject({ message: expect.stringContaining('grant.client.clientSecret') })
})

import { expect, test } from 'vitest'
import { scene } from './small-servers.ts'

test('N23, N24: the metadata’s resource goes verbatim into the authorization, token and refresh requests', async () => {
  await using world = await scene()
  const resource = `${world.mcp.origin.replace('http:', 'HTTP:')}/mcp`
  world.mcp.metadata.resource = resource
  const tokens = world.tokensWith()
  await tokens.login()
  world.as.live.clear()
  expect(await world.post(world.fetchWith(tokens))).toBe(200)
  expect(world.login.asked[0]?.searchParams.get('resource')).toBe(resource)
  expect(world.as.at('/token').map(({ form }) => form.get('resource'))).toEqual([resource, resource])
})

test('N23: only the named option leaves the resource out', async () => {
  await using world = await scene()
  const tokens = world.tokensWith({ dangerouslyOmitResource: true })
  await tokens.login()
  world.as.live.clear()
  await world.post(world.fetchWith(tokens))
  expect(world.login.asked[0]?.searchParams.has('resource')).toBe(false)
  expect(world.as.at('/token').map(({ form }) => form.has('resource'))).toEqual([false, false])
})

test('N30: the authorization request carries an S256 challenge, and the token request its verifier', async () => {
  await using world = await scene()
  await world.tokensWith().login()
  expect(world.login.asked[0]?.searchParams.get('code_challenge_method')).toBe('S256')
  expect(world.as.at('/token')[0]?.form.get('code_verifier')).toMatch(/^[\w-]{43,128}$/)
})

test.each([undefined, ['plain'], 'S256', []])('N30: PKCE methods %j are refused, before registration', async (methods) => {
  await using world = await scene()
  world.as.metadata.code_challenge_methods_supported = methods
  await expect(world.tokensWith().login()).rejects.toMatchObject({ code: 'MCPAUTH_PKCE_UNSUPPORTED' })
  expect(world.as.at('/register')).toHaveLength(0)
  expect(world.login.asked).toHaveLength(0)
})

test('N30: the named option lets a server pass that says nothing about PKCE, and only such a one', async () => {
  await using world = await scene()
  delete world.as.metadata.code_challenge_methods_supported
  const options = { dangerouslyAllowMissingPkceMetadata: true }
  await world.tokensWith(options).login()
  world.as.metadata.code_challenge_methods_supported = ['plain']
  await expect(world.tokensWith(options).login()).rejects.toMatchObject({ code: 'MCPAUTH_PKCE_UNSUPPORTED' })
})

type Change = (answer: URLSearchParams, issuer: string) => void

async function loginWith(change: Change, metadata: Record<string, unknown> = {}) {
  let issuer = ''
  const world = await scene((answer) => change(answer, issuer))
  issuer = world.as.origin
  Object.assign(world.as.metadata, metadata)
  return world
}

test.each<[string, Change, Record<string, unknown>]>([
  ['absent although advertised', () => undefined, { authorization_response_iss_parameter_supported: true }],
  ['another', (answer) => answer.set('iss', 'https://evil.example'), {}],
  [
    'another, unadvertised',
    (answer) => answer.set('iss', 'https://evil.example'),
    { authorization_response_iss_parameter_supported: false }
  ],
  ['empty', (answer) => answer.set('iss', ''), {}],
  [
    'there twice',
    (answer, issuer) => {
      answer.append('iss', issuer)
      answer.append('iss', 'https://evil.example')
    },
    {}
  ]
])('N20: iss %s: the code is not redeemed', async (_name, change, metadata) => {
  await using world = await loginWith(change, metadata)
  await expect(world.tokensWith().login()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  expect(world.as.at('/token')).toHaveLength(0)
})

test('N20: the right iss passes, advertised or not', async () => {
  await using world = await loginWith((answer, issuer) => answer.set('iss', issuer), {
    authorization_response_iss_parameter_supported: true
  })
  expect(await world.tokensWith().login()).toMatchObject({ loggedIn: true })
})

test.each([
  ['a slash', (issuer: string) => `${issuer}/`],
  ['case', (issuer: string) => issuer.replace('http', 'HTTP')],
  ['a percent escape', (issuer: string) => issuer.replace('127', '%3127')]
])('N21: iss that differs by %s only is another issuer', async (_name, vary) => {
  await using world = await loginWith((answer, issuer) => answer.set('iss', vary(issuer)))
  await expect(world.tokensWith().login()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  expect(world.as.at('/token')).toHaveLength(0)
})

test('N22: the words of an error from another issuer are neither acted on nor shown', async () => {
  await using world = await loginWith((answer) => {
    answer.set('iss', 'https://evil.example')
    answer.set('error', 'call_this_number')
    answer.set('error_description', 'call 555-1234')
  })
  const error = (await world
    .tokensWith()
    .login()
    .catch((reason: Error) => reason)) as Error & { hint: string }
  expect(error).toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  expect(`${error.message} ${error.hint}`).not.toMatch(/555|call_this/)
})

test('N22: an error without iss is not shown either where the server announces iss', async () => {
  await using world = await loginWith((answer) => answer.set('error_description', 'call 555-1234') ?? answer.set('error', 'x'), {
    authorization_response_iss_parameter_supported: true
  })
  await expect(world.tokensWith().login()).rejects.toThrow(/does not say its issuer/)
})

test('T14: an error of the right server is shown without its terminal escapes', async () => {
  await using world = await loginWith((answer) => {
    answer.delete('code')
    answer.set('error', 'access_denied')
    answer.set('error_description', 'no\u001b[31m access\r\nfor you')
  })
  await expect(world.tokensWith().login()).rejects.toMatchObject({
    code: 'MCPAUTH_LOGIN_FAILED',
    message: 'the authorization server refused: access_denied, no [31m access for you'
  })
})

test.each(['', 'wrong'])('N32: an answer with the state %j is refused', async (state) => {
  await using world = await loginWith((answer) => answer.set('state', state))
  await expect(world.tokensWith().login()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  expect(world.as.at('/token')).toHaveLength(0)
})

test('N19: two logins at once keep their own verifier, state and issuer', async () => {
  await using one = await scene()
  await using two = await scene()
  await Promise.all([one.tokensWith().login(), two.tokensWith().login()])
  expect(one.as.grants + two.as.grants).toBe(2)
  const states = [one, two].map(({ login }) => login.asked[0]?.searchParams.get('state'))
  expect(new Set(states).size).toBe(2)
})

test('a server that insists on pushed authorization requests gets one, and the browser only its reference', async () => {
  await using world = await scene()
  const { origin } = world.as
  world.as.metadata.require_pushed_authorization_requests = true
  world.as.metadata.pushed_authorization_request_endpoint = `${origin}/par`
  let pushed: URLSearchParams | undefined
  world.as.overrides.set('/par', ({ form }) => {
    pushed = form
    return { status: 201, body: { request_uri: 'urn:x:1', expires_in: 60 } }
  })
  world.as.overrides.set('/authorize', () => ({
    status: 302,
    headers: { location: `http://127.0.0.1:9/callback?error=access_denied&state=${pushed?.get('state')}` }
  }))
  await expect(world.tokensWith().login()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
  expect([...(world.login.asked[0]?.searchParams.keys() ?? [])].toSorted()).toEqual(['client_id', 'request_uri'])
  expect(pushed?.get('code_challenge_method')).toBe('S256')
})

test('T13: no error of a failed code exchange holds the code or the verifier', async () => {
  await using world = await scene()
  world.as.overrides.set('/token', ({ form }) => ({
    status: 400,
    body: { error: 'invalid_grant', error_description: `${form.get('code')} is unknown` }
  }))
  const { inspect } = await import('node:util')
  const { secrets } = await import('@mcpauth/core')
  const error = await world
    .tokensWith()
    .login()
    .catch((reason: unknown) => reason)
  const verifier = world.as.at('/token')[0]?.form.get('code_verifier') as string
  expect(inspect(error, { showHidden: true, depth: 9 })).not.toContain(verifier)
  expect(secrets.redact(verifier)).not.toContain(verifier)
})

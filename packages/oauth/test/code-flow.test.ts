import { getEventListeners } from 'node:events'
import { secrets } from '@mcpauth/core'
import { None } from 'oauth4webapi'
import { describe, expect, test } from 'vitest'
import { authorizationCode, checkPkce } from '../src/authorization-code.ts'
import { grantRequest } from '../src/authorization-context.ts'
import type { GrantRequest } from '../src/grants/grant.ts'
import type { OpenLogin } from '../src/login.ts'
import { type PaperAnswer, paper, paperContext } from './paper-servers.ts'

const server = {
  issuer: paper.issuer,
  authorization_endpoint: `${paper.issuer}/authorize?tenant=1`,
  token_endpoint: `${paper.issuer}/token`
}

type Change = (answer: URLSearchParams, state: string) => void

/** A login that comes back at once, with an answer that a test may change. */
function world(more: Partial<GrantRequest> = {}, answer?: PaperAnswer) {
  const context = paperContext({}, answer)
  const ask = grantRequest(context, { authorizationServer: server, client: { client_id: 'mine' }, clientAuth: None(), ...more })
  const asked: URL[] = []
  const open = (change: Change = () => undefined): OpenLogin => ({
    redirectUri: 'http://127.0.0.1:9/callback',
    ask: async (url, state) => {
      asked.push(url)
      const back = new URLSearchParams({ code: 'code-of-the-flow', state })
      change(back, state)
      return back
    }
  })
  return { ask, open, asked, sent: context.asked }
}

describe('the authorization request', () => {
  test('keeps the endpoint’s own query, and says who asks for what', async () => {
    const { ask, open, asked } = world({ scope: 'a b', resource: paper.mcp })
    await authorizationCode(ask, open(), { nonce: 'n', state: 'not mine to choose' })
    const { state, code_challenge, ...rest } = Object.fromEntries(asked[0]?.searchParams ?? [])
    expect(rest).toEqual({
      tenant: '1',
      nonce: 'n',
      response_type: 'code',
      client_id: 'mine',
      redirect_uri: 'http://127.0.0.1:9/callback',
      code_challenge_method: 'S256',
      scope: 'a b',
      resource: paper.mcp
    })
    expect(state).toMatch(/^[\w-]{43}$/)
    expect(code_challenge).toMatch(/^[\w-]{43}$/)
  })

  test.each<[string | undefined, boolean]>([
    ['a offline_access', true],
    ['offline_access', true],
    ['no_offline_access', false],
    [undefined, false]
  ])('of the scope %s demands consent: %s', async (scope, expected) => {
    const { ask, open, asked } = world({ scope })
    await authorizationCode(ask, open())
    expect(asked[0]?.searchParams.get('prompt')).toBe(expected ? 'consent' : null)
    expect(asked[0]?.searchParams.has('scope')).toBe(scope !== undefined)
    expect(asked[0]?.searchParams.has('resource')).toBe(false)
  })

  test.each([undefined, 'no URL'])('cannot be made with the endpoint %s', async (authorization_endpoint) => {
    const { ask, open, asked } = world({ authorizationServer: { ...server, authorization_endpoint } as never })
    await expect(authorizationCode(ask, open())).rejects.toMatchObject({ code: 'MCPAUTH_DISCOVERY_FAILED' })
    expect(asked).toEqual([])
  })
})

describe('a pushed authorization request', () => {
  const insisting = { ...server, require_pushed_authorization_requests: true, pushed_authorization_request_endpoint: `${paper.issuer}/par` }
  const pushing = (answer: () => Response) =>
    world({ authorizationServer: insisting, resource: paper.mcp }, ({ url }) => (url.endsWith('/par') ? answer() : undefined))

  test('holds everything, and the browser a reference', async () => {
    const { ask, open, asked, sent } = pushing(() => Response.json({ request_uri: 'urn:x:1', expires_in: 60 }, { status: 201 }))
    await authorizationCode(ask, open())
    expect(Object.fromEntries(asked[0]?.searchParams ?? [])).toEqual({ tenant: '1', client_id: 'mine', request_uri: 'urn:x:1' })
    expect(sent[0]?.form.get('resource')).toBe(paper.mcp)
  })

  test.each<[string, number, unknown, object]>([
    [
      'refused',
      400,
      { error: 'invalid_request', error_description: 'no' },
      { status: 400, error: 'invalid_request', error_description: 'no' }
    ],
    ['refused, whatever else it says', 400, { error: 'invalid_request', request_uri: 'urn:x:1' }, { status: 400 }],
    ['answered without a reference', 201, { expires_in: 60 }, { status: 201 }],
    ['answered with a reference that is none', 201, { request_uri: 1 }, { status: 201 }],
    ['answered with a list', 201, ['urn:x:1'], { status: 201 }]
  ])('%s opens no browser', async (_name, status, body, expected) => {
    const { ask, open, asked } = pushing(() => Response.json(body, { status }))
    await expect(authorizationCode(ask, open())).rejects.toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE', ...expected })
    expect(asked).toEqual([])
  })

  test('answered with a page opens no browser, and says how long to wait', async () => {
    const { ask, open, asked } = pushing(() => new Response('<h1>busy</h1>', { status: 503, headers: { 'retry-after': '7' } }))
    await expect(authorizationCode(ask, open())).rejects.toMatchObject({ status: 503, retryAfterMs: 7_000 })
    expect(asked).toEqual([])
  })
})

describe('N32: the answer', () => {
  test('is exchanged with its verifier, its redirect URI and the resource', async () => {
    const { ask, open, sent } = world({ resource: paper.mcp })
    expect(await authorizationCode(ask, open())).toMatchObject({ access_token: expect.any(String) })
    expect(Object.fromEntries(sent[0]?.form ?? [])).toEqual({
      grant_type: 'authorization_code',
      code: 'code-of-the-flow',
      code_verifier: expect.stringMatching(/^[\w-]{43}$/),
      redirect_uri: 'http://127.0.0.1:9/callback',
      client_id: 'mine',
      resource: paper.mcp
    })
    // T13
    expect(secrets.redact(`code-of-the-flow ${sent[0]?.form.get('code_verifier')}`)).toBe('[REDACTED:code] [REDACTED:code_verifier]')
  })

  test.each<[string, Change]>([
    ['with a state of the same length', (answer, state) => answer.set('state', `${state.slice(0, -1)}${state.endsWith('A') ? 'B' : 'A'}`)],
    ['with a part of the state', (answer, state) => answer.set('state', state.slice(0, -1))],
    ['with more than the state', (answer, state) => answer.set('state', `${state}A`)],
    ['without a state', (answer) => answer.delete('state')],
    ['with two states', (answer) => answer.append('state', 'another')],
    ['without a code', (answer) => answer.delete('code')],
    ['with an empty code', (answer) => answer.set('code', '')],
    ['with two codes', (answer) => answer.append('code', 'another')],
    ['with an implicit token', (answer) => answer.set('id_token', 'a.b.c')],
    ['with an error beside its code', (answer) => answer.set('error', 'access_denied')]
  ])('%s is refused, and no code is sent', async (_name, change) => {
    const { ask, open, sent } = world()
    const error = await authorizationCode(ask, open(change)).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: expect.stringMatching(/^MCPAUTH_(LOGIN_FAILED|OAUTH_RESPONSE)$/) })
    // What oauth4webapi throws holds the answer.
    expect((error as Error).cause).toBeUndefined()
    expect(sent).toEqual([])
  })
})

test.each([undefined, paper.mcp])('N23: the code exchange carries the resource %s, and none where there is none', async (resource) => {
  const { ask, open, sent } = world({ resource })
  await authorizationCode(ask, open())
  expect(sent.map(({ form }) => form.get('resource'))).toEqual([resource ?? null])
})

describe('whose an answer is', () => {
  const announcing = { ...server, authorization_response_iss_parameter_supported: true }
  const foreign = 'it comes from another issuer'

  test.each<[string, Change, string]>([
    ['N20: with the issuer of another server', (answer) => answer.set('iss', 'https://evil.example'), foreign],
    ['N21: with its issuer and a slash', (answer) => answer.set('iss', `${paper.issuer}/`), foreign],
    ['N21: with its issuer in capitals', (answer) => answer.set('iss', paper.issuer.toUpperCase()), foreign],
    ['N20: with an empty issuer', (answer) => answer.set('iss', ''), foreign],
    [
      'N20: with its issuer twice',
      (answer) => {
        answer.append('iss', paper.issuer)
        answer.append('iss', paper.issuer)
      },
      foreign
    ],
    ['N32: with another state', (answer) => answer.set('state', 'x'.repeat(43)), 'its state is not the one that was sent'],
    ['N32: without a state', (answer) => answer.delete('state'), 'its state is not the one that was sent'],
    ['without a code', (answer) => answer.delete('code'), 'it holds no code'],
    ['with an empty code', (answer) => answer.set('code', ''), 'it holds no code']
  ])('%s it is refused for that reason, and no code is sent', async (_name, change, reason) => {
    const { ask, open, sent } = world()
    await expect(authorizationCode(ask, open(change))).rejects.toMatchObject({
      code: 'MCPAUTH_LOGIN_FAILED',
      message: `the answer of the authorization server was refused: ${reason}`
    })
    expect(sent).toEqual([])
  })

  test('N20: its issuer is compared although the server has not announced it, and not demanded then', async () => {
    const { ask, open } = world()
    await expect(
      authorizationCode(
        ask,
        open((answer) => answer.set('iss', paper.issuer))
      )
    ).resolves.toHaveProperty('access_token')
    await expect(authorizationCode(ask, open())).resolves.toHaveProperty('access_token')
  })

  test('N20: where the server has announced it, an answer without is refused, whatever else it says', async () => {
    const { ask, open, sent } = world({ authorizationServer: announcing })
    const reason = 'the answer of the authorization server was refused: it does not say its issuer, as the server announced'
    await expect(authorizationCode(ask, open())).rejects.toMatchObject({ message: reason })
    const failed: Change = (answer) => {
      answer.delete('code')
      answer.set('error', 'access_denied')
    }
    await expect(authorizationCode(ask, open(failed))).rejects.toMatchObject({ message: reason })
    expect(sent).toEqual([])
    await expect(
      authorizationCode(
        ask,
        open((answer) => answer.set('iss', paper.issuer))
      )
    ).resolves.toHaveProperty('access_token')
  })

  test('N22: an error is shown in the server’s words, made safe, and nothing of it when another issuer says it', async () => {
    const { ask, open, sent } = world()
    const failed =
      (iss?: string): Change =>
      (answer) => {
        answer.delete('code')
        answer.set('error', 'access_denied')
        answer.set('error_description', 'not\u001b[2J you')
        if (iss !== undefined) answer.set('iss', iss)
      }
    await expect(authorizationCode(ask, open(failed(paper.issuer)))).rejects.toMatchObject({
      code: 'MCPAUTH_LOGIN_FAILED',
      message: expect.stringMatching(/^the authorization server refused: access_denied, not.*you$/)
    })
    const strange = await authorizationCode(ask, open(failed('https://evil.example'))).catch((reason: unknown) => reason)
    expect(strange).toMatchObject({ message: `the answer of the authorization server was refused: ${foreign}` })
    const bare: Change = (answer) => {
      answer.delete('code')
      answer.set('error', 'access_denied')
    }
    await expect(authorizationCode(ask, open(bare))).rejects.toMatchObject({ message: 'the authorization server refused: access_denied' })
    expect(sent).toEqual([])
  })
})

describe('a login that does not heed its signal', () => {
  function hanging() {
    const asked = Promise.withResolvers<void>()
    const answered = Promise.withResolvers<URLSearchParams>()
    const open: OpenLogin = {
      redirectUri: 'http://127.0.0.1:9/callback',
      ask: (_url, state) => {
        asked.resolve()
        return answered.promise.then((answer) => new URLSearchParams([...answer, ['state', state]]))
      }
    }
    return { open, asked: asked.promise, answer: answered.resolve }
  }

  test('is left when it is aborted, also when that was before', async () => {
    const leaving = new AbortController()
    const { ask } = world({ signal: leaving.signal })
    const { open, asked } = hanging()
    const waiting = authorizationCode(ask, open)
    await asked
    leaving.abort(new Error('gone'))
    await expect(waiting).rejects.toThrow('gone')
    await expect(authorizationCode(ask, open)).rejects.toThrow('gone')
    expect(getEventListeners(leaving.signal, 'abort')).toEqual([])
  })

  test('is waited for while nobody aborts it, and leaves no listener behind', async () => {
    const staying = new AbortController()
    const { ask } = world({ signal: staying.signal })
    const { open, asked, answer } = hanging()
    const waiting = authorizationCode(ask, open)
    await asked
    await new Promise(setImmediate)
    answer(new URLSearchParams({ code: 'code-of-the-flow' }))
    await expect(waiting).resolves.toHaveProperty('access_token')
    expect(getEventListeners(staying.signal, 'abort')).toEqual([])
  })
})

test.each<[unknown, boolean, boolean]>([
  [['S256'], false, true],
  [['plain', 'S256'], false, true],
  [['S256'], true, true],
  [undefined, true, true],
  [undefined, false, false],
  [['plain'], false, false],
  [['plain'], true, false],
  [[], true, false],
  ['S256', true, false],
  [null, true, false]
])('N30: PKCE methods %j, with the named option %s: passes %s', (code_challenge_methods_supported, option, passes) => {
  const check = () =>
    checkPkce(
      { issuer: paper.issuer, ...(code_challenge_methods_supported === undefined ? {} : { code_challenge_methods_supported }) } as never,
      option
    )
  if (passes) expect(check).not.toThrow()
  else expect(check).toThrow(expect.objectContaining({ code: 'MCPAUTH_PKCE_UNSUPPORTED' }))
})

import { McpAuthError } from '@mcpauth/core'
import { describe, expect, test } from 'vitest'
import type { Grant, GrantRequest } from '../src/grants/grant.ts'
import type { Login } from '../src/login.ts'
import { loginErrors } from '../src/login-errors.ts'
import { newGrants } from '../src/new-grant.ts'
import { OAuthResponseError } from '../src/oauth-response-error.ts'
import type { OAuthOptions } from '../src/options.ts'
import { paper, paperContext, paperGrant } from './paper-servers.ts'

const wish = { challenges: [], refused: true, stale: undefined }

/** @param limitMs A login's time limit, shorter than a user may make it. */
function world(options: OAuthOptions = {}, limitMs?: number) {
  const clock = { ms: 1_700_000_000_000 }
  const context = paperContext({ now: () => clock.ms, ...options })
  if (limitMs !== undefined) context.settings = { ...context.settings, loginTimeoutMs: limitMs }
  const made = newGrants(context, loginErrors(context.settings))
  let asking = 0
  return {
    clock,
    store: context.settings.store,
    forgetNo: made.forgetNo,
    asking: () => asking,
    obtain: (signal?: AbortSignal) =>
      made.obtain({ ...wish, signal }, options.login, () => {
        asking += 1
      })
  }
}

/** A person who is sent somewhere, and what comes of it. */
function person(answer: (url: URL) => Promise<URLSearchParams>) {
  const told: string[] = []
  const login: Login = async () => ({
    redirectUri: 'http://127.0.0.1:9/callback',
    ask: (url) => {
      told.push('ask')
      return answer(url)
    },
    finish: (problem) => void told.push(problem === undefined ? 'success' : 'failure'),
    close: () => void told.push('close')
  })
  return { login, told }
}

const approving = async (url: URL): Promise<URLSearchParams> =>
  new URLSearchParams({ code: 'the-code', state: url.searchParams.get('state') as string })
const refusing = async (url: URL): Promise<URLSearchParams> =>
  new URLSearchParams({ error: 'access_denied', state: url.searchParams.get('state') as string })

const response = (status: number): OAuthResponseError => new OAuthResponseError('the token request', { status, error: 'invalid_grant' })

test('T20: without a way to a grant a login is required, at once', async () => {
  await expect(world().obtain()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_REQUIRED' })
})

describe('T19: a no', () => {
  test.each<[string, () => Error]>([
    ['of the token endpoint', () => response(400)],
    ['of the token endpoint, at the end of its range', () => response(499)],
    ['to a login', () => new McpAuthError('MCPAUTH_LOGIN_FAILED', 'no')],
    ['to a registration', () => new McpAuthError('MCPAUTH_REGISTRATION_FAILED', 'no')]
  ])('%s is not asked about again for ten seconds, whichever way the clock goes', async (_name, error) => {
    const no = error()
    const grant = paperGrant(() => Promise.reject(no))
    const { obtain, clock } = world({ grant })
    await expect(obtain()).rejects.toBe(no)
    for (const jump of [0, 9_999, -9_999 - 9_999]) {
      clock.ms += jump
      await expect(obtain()).rejects.toBe(no)
    }
    expect(grant.times).toBe(1)
    clock.ms += 9_999 + 10_000
    await expect(obtain()).rejects.toBe(no)
    expect(grant.times).toBe(2)
  })

  test.each<[string, Error]>([
    ['a server that cannot answer now', response(500)],
    ['an answer that is none', response(200)],
    ['a network that is down', new McpAuthError('MCPAUTH_NETWORK', 'no answer')],
    ['a bug', new Error('a bug')]
  ])('%s is none: the next request asks again', async (_name, error) => {
    const grant = paperGrant(() => Promise.reject(error))
    const { obtain } = world({ grant })
    for (let time = 0; time < 3; time += 1) await expect(obtain()).rejects.toBe(error)
    expect(grant.times).toBe(3)
  })

  test('is forgotten when somebody asks by name, and after a yes', async () => {
    let fails = true
    const grant = paperGrant(() => (fails ? Promise.reject(response(400)) : Promise.resolve({ expires_in: 1 })))
    const { obtain, forgetNo, clock } = world({ grant })
    await expect(obtain()).rejects.toMatchObject({ status: 400 })
    forgetNo()
    fails = false
    expect(await obtain()).toMatchObject({ kind: 'granted' })
    clock.ms += 2_000
    expect(await obtain()).toMatchObject({ kind: 'granted' })
    expect(grant.times).toBe(3)
  })

  test('of a person is not asked about again, and is shown in the tab', async () => {
    const { login, told } = person(refusing)
    const { obtain, asking } = world({ login })
    for (let time = 0; time < 3; time += 1) await expect(obtain()).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED' })
    expect(told).toEqual(['ask', 'failure', 'close'])
    expect(asking()).toBeGreaterThan(0)
  })

  test('whatever failed once a person has been asked is not asked about again', async () => {
    const { login, told } = person(() => Promise.reject(new Error('the browser is gone')))
    const { obtain } = world({ login })
    for (let time = 0; time < 3; time += 1) await expect(obtain()).rejects.toThrow('the browser is gone')
    expect(told.filter((what) => what === 'ask')).toHaveLength(1)
  })

  test('what failed before a person was asked is tried again', async () => {
    let times = 0
    const login: Login = () => {
      times += 1
      return Promise.reject(new Error('the port is taken'))
    }
    const { obtain, clock } = world({ login })
    for (let time = 0; time < 3; time += 1) {
      await expect(obtain()).rejects.toThrow('the port is taken')
      clock.ms += 1
    }
    expect(times).toBe(3)
  })
})

describe('a person', () => {
  test('who approves gets a grant, and the tab says so', async () => {
    const { login, told } = person(approving)
    const { obtain } = world({ login })
    expect(await obtain()).toMatchObject({ kind: 'granted', record: { generation: 1 } })
    expect(told).toEqual(['ask', 'success', 'close'])
  })

  test('may be asked by a login without finish and close', async () => {
    const login: Login = async () => ({ redirectUri: 'http://127.0.0.1:9/callback', ask: approving })
    expect(await world({ login }).obtain()).toMatchObject({ kind: 'granted' })
  })

  test.each<[string, (signal: AbortSignal | undefined) => Promise<never>]>([
    ['who never comes back', () => new Promise(() => undefined)],
    [
      'whose login heeds its signal',
      (signal) => new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    ]
  ])('%s has a time limit, also where the one who waits could go away', async (_name, ask) => {
    const login: Login = async () => ({ redirectUri: 'http://127.0.0.1:9/callback', ask: (_url, _state, signal) => ask(signal) })
    for (const signal of [undefined, new AbortController().signal]) {
      const { obtain, store, clock } = world({ login }, 200)
      await expect(obtain(signal)).rejects.toMatchObject({
        code: 'MCPAUTH_LOGIN_FAILED',
        hint: expect.stringContaining('--new-registration')
      })
      // Other processes that wait for this very login learn of it.
      expect(await store.read({ ...paper.key, kind: 'login' })).toMatchObject({ login_failed_at_ms: clock.ms })
    }
  })

  test('is not waited for when nobody waits any more, and the tab says so, but not other processes', async () => {
    const gone = new AbortController()
    const { login, told } = person(() => {
      gone.abort(new Error('gone'))
      return new Promise(() => undefined)
    })
    const { obtain, store } = world({ login })
    await expect(obtain(gone.signal)).rejects.toThrow('gone')
    expect(told).toEqual(['ask', 'failure', 'close'])
    expect(await store.read({ ...paper.key, kind: 'login' })).toBeUndefined()
  })

  test('whose login nobody waited for any more has not said no: the next request asks again', async () => {
    const gone = new AbortController()
    let login = person(() => {
      gone.abort(new Error('gone'))
      return new Promise(() => undefined)
    })
    const { obtain } = world({ login: () => login.login() })
    await expect(obtain(gone.signal)).rejects.toThrow('gone')
    login = person(approving)
    expect(await obtain()).toMatchObject({ kind: 'granted' })
  })

  test('whose no comes as the time is over has said no', async () => {
    const grant: Grant = Object.assign(
      async ({ signal }: GrantRequest) => {
        await new Promise((resolve) => signal?.addEventListener('abort', resolve))
        throw new McpAuthError('MCPAUTH_LOGIN_FAILED', 'the code was not typed in')
      },
      { grantType: 'device', interactive: true }
    )
    await expect(world({ grant, loginTimeoutMs: 1_000 }).obtain()).rejects.toThrow('the code was not typed in')
  })

  test('who types a code elsewhere does not keep the tokens locked, and gets a grant that can be refreshed', async () => {
    const { obtain, store } = world({
      grant: paperGrant(() => store.transact(paper.key, async () => undefined, { deadlineMs: 1 }), { interactive: true })
    })
    await obtain()
    const registration = await store.read({ kind: 'client', issuer: paper.issuer })
    expect(registration?.client?.grant_types).toContain('refresh_token')
  })

  test('is waited for from the start, where it is sure to come to that', async () => {
    const interactive = world({ grant: paperGrant(async () => undefined, { interactive: true, grantType: 'device' }) })
    expect(await interactive.obtain()).toMatchObject({ kind: 'granted' })
    expect(interactive.asking()).toBe(1)
  })

  test('is asked by a grant only when it says so', async () => {
    for (const asks of [true, false]) {
      const prepare = async (_ask: unknown, asking?: () => void): Promise<void> => {
        if (asks) asking?.()
      }
      const { obtain, asking } = world({ grant: paperGrant(async () => undefined, { prepare }) })
      expect(await obtain()).toMatchObject({ kind: 'granted' })
      expect(asking()).toBe(asks ? 1 : 0)
    }
  })

  test.each([true, false])('who was asked by a grant before it failed (%s) decides whether it is tried again', async (asks) => {
    const prepare = async (_ask: unknown, asking?: () => void): Promise<void> => {
      if (asks) asking?.()
      throw new Error('the identity provider is away')
    }
    let prepared = 0
    const counting = (...given: Parameters<typeof prepare>): Promise<void> => {
      prepared += 1
      return prepare(...given)
    }
    const { obtain } = world({ grant: paperGrant(async () => undefined, { prepare: counting }) })
    for (let time = 0; time < 3; time += 1) await expect(obtain()).rejects.toThrow('the identity provider is away')
    expect(prepared).toBe(asks ? 1 : 3)
  })

  test('who failed with an interactive grant is not asked again', async () => {
    const grant = paperGrant(() => Promise.reject(new Error('gone')), { interactive: true })
    const { obtain } = world({ grant })
    for (let time = 0; time < 3; time += 1) await expect(obtain()).rejects.toThrow('gone')
    expect(grant.times).toBe(1)
  })

  test('is not told to anyone by a grant that needs none', async () => {
    const { obtain, asking } = world({ grant: paperGrant(async () => undefined) })
    await obtain()
    expect(asking()).toBe(0)
  })
})

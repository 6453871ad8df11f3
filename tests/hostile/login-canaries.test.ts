import { generateKeyPairSync } from 'node:crypto'
import { asAuthProvider, asOAuthClientProvider } from '@mcpauth/core'
import {
  clientCredentials,
  deviceLogin,
  jwtBearer,
  type Login,
  type OAuthOptions,
  oauthTokens,
  refreshTokenOnly,
  tokenExchange,
  workloadIdentity
} from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createCanary, everythingOf, leaksIn } from './canary.ts'
import { type EchoingServer, moods, startEchoingServer } from './echoing-server.ts'
import { type Sinks, watchSinks } from './sinks.ts'

/** What the server gives away, and what the user of a login brings. */
type Canaries = {
  readonly access: string
  readonly refresh: string
  readonly idToken: string
  readonly registeredSecret: string
  readonly registrationToken: string
  readonly deviceCode: string
  readonly own: string
}

function freshCanaries(): Canaries {
  const of = createCanary
  return {
    access: of('access'),
    refresh: of('refresh'),
    idToken: of('id-token'),
    registeredSecret: of('registered-secret'),
    registrationToken: of('registration-token'),
    deviceCode: of('device-code'),
    own: of('own')
  }
}

/** A person who comes back with the code, and the server's words beside it. */
function returning(issuer: () => string, parameters: (state: string) => Record<string, string>): Login {
  return async () => ({
    redirectUri: 'http://127.0.0.1:1/callback',
    ask: async (_url, state) => new URLSearchParams({ iss: issuer(), ...parameters(state) })
  })
}

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const pem = keys.export({ format: 'pem', type: 'pkcs8' }) as string
const robot = { clientId: 'robot' }

interface Way {
  readonly title: string
  /** Of the canaries, those that go over the wire when all goes well. */
  readonly sent: readonly (keyof Canaries)[]
  options(canaries: Canaries, server: EchoingServer): OAuthOptions
}

/** Every way to get a token. */
const ways: readonly Way[] = [
  {
    title: 'a person with a browser, and a client that registers itself',
    sent: ['own', 'registeredSecret'],
    options: ({ own }, { url }) => ({
      login: returning(
        () => new URL(url).origin,
        (state) => ({ state, code: own })
      )
    })
  },
  {
    title: 'a person whose answer is somebody else’s',
    sent: [],
    options: ({ own }, { url }) => ({
      client: robot,
      login: returning(
        () => new URL(url).origin,
        () => ({ state: own, code: own })
      )
    })
  },
  {
    title: 'a person whose answer names another issuer, and has an error too',
    sent: [],
    options: ({ own }) => ({
      client: robot,
      login: returning(
        () => `https://${own}.example`,
        (state) => ({ state, code: own, error: own, error_description: own })
      )
    })
  },
  {
    title: 'a person on another device',
    sent: ['deviceCode'],
    options: () => ({ client: robot, grant: deviceLogin({ show: () => undefined, wait: async () => undefined }) })
  },
  {
    title: 'a client secret',
    sent: ['own'],
    options: ({ own }) => ({ client: { ...robot, clientSecret: () => own }, grant: clientCredentials() })
  },
  {
    title: 'a client key',
    sent: [],
    options: () => ({ client: { ...robot, privateKey: () => pem }, grant: clientCredentials() })
  },
  { title: 'an assertion', sent: ['own'], options: ({ own }) => ({ client: robot, grant: jwtBearer({ assertion: () => own }) }) },
  { title: 'a workload’s token', sent: ['own'], options: ({ own }) => ({ client: robot, grant: workloadIdentity({ token: () => own }) }) },
  { title: 'a subject token', sent: ['own'], options: ({ own }) => ({ client: robot, grant: tokenExchange({ subjectToken: () => own }) }) },
  {
    title: 'a refresh token of one’s own',
    sent: ['own'],
    options: ({ own }) => ({ client: robot, grant: refreshTokenOnly({ refreshToken: () => own }) })
  },
  {
    title: 'a client secret and a key of DPoP',
    sent: ['own'],
    options: ({ own }) => ({ client: { ...robot, clientSecret: () => own }, grant: clientCredentials(), dpop: true })
  }
]

let sinks: Sinks
beforeEach(() => {
  sinks = watchSinks()
})
afterEach(() => sinks[Symbol.dispose]())

describe.each(ways.map((way) => [way.title, way] as const))('T13: a token by %s', (_title, way) => {
  const canaries = freshCanaries()
  let server: EchoingServer
  beforeAll(async () => {
    const { access, refresh, idToken, registeredSecret, registrationToken, deviceCode } = canaries
    server = await startEchoingServer(access, {
      token: { refresh_token: refresh, id_token: idToken },
      registration: { client_secret: registeredSecret, registration_access_token: registrationToken },
      device: { device_code: deviceCode, verification_uri_complete: `https://as.example/device?code=ABCD-EFGH` }
    })
  })
  afterAll(() => server[Symbol.asyncDispose]())

  /** Logs in, out, and asks how things are; whatever happens, nothing is to be seen. */
  async function exercise(): Promise<{ seen: string; errors: number }> {
    const tokens = oauthTokens(server.url, { store: memoryStore(), env: {}, ...way.options(canaries, server) })
    const seen: unknown[] = []
    let errors = 0
    for (const step of [() => tokens.login(), () => tokens.status(), () => tokens.logout(), () => tokens.status()]) {
      try {
        seen.push(await step())
      } catch (error) {
        errors += 1
        seen.push(error)
      }
    }
    for (const provider of [asAuthProvider, asOAuthClientProvider]) {
      try {
        seen.push(provider(tokens as never))
      } catch (error) {
        seen.push(error)
      }
    }
    return { seen: [...seen, tokens].map(everythingOf).join('\n') + sinks.text(), errors }
  }

  /** What this process made up: it is found in what the server received. */
  function madeUp(): Record<string, string> {
    const verifier = /code_verifier=([\w-]{43,})/.exec(server.received())?.[1]
    return verifier === undefined ? {} : { verifier }
  }

  function calm(): void {
    server.tokenMood = server.registrationMood = server.deviceMood = 'grants'
  }

  test('that is granted', async () => {
    calm()
    const { seen, errors } = await exercise()
    expect(errors).toBe(way.sent.length === 0 && way.title.startsWith('a person') ? 1 : 0)
    expect(leaksIn(seen, { ...canaries, ...madeUp() })).toEqual([])
    const received = server.received()
    for (const name of way.sent) expect(leaksIn(received, canaries), name).toContain(name)
  })

  test.each(moods)('where the token endpoint %s', async (mood) => {
    calm()
    server.tokenMood = mood
    const { seen } = await exercise()
    expect(leaksIn(seen, { ...canaries, ...madeUp() })).toEqual([])
  })

  const asksElsewhere = /registers itself|another device/.test(way.title)
  test.each(asksElsewhere ? moods : [])('where the registration and the device authorization %s', async (mood) => {
    calm()
    server.registrationMood = server.deviceMood = mood
    const { seen } = await exercise()
    expect(leaksIn(seen, { ...canaries, ...madeUp() })).toEqual([])
  })
})

import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { type AccessToken, type AuthProvider, asAuthProvider, asOAuthClientProvider, type Refusal, type TokenSource } from '../src/index.ts'

const serverUrl = new URL('https://mcp.example.com/mcp')
const tokenOf = (generation: number, change: Partial<AccessToken> = {}): AccessToken => ({
  value: `token-${generation}`,
  scheme: 'Bearer',
  generation,
  origin: 'granted',
  ...change
})
const refusal = (): { response: Response; serverUrl: URL } => ({
  response: new Response(null, { status: 401, headers: { 'www-authenticate': 'Bearer error="invalid_token"', 'x-id': '7' } }),
  serverUrl
})

/** A source whose renewals give the next generation; keeps what it was asked. */
function source(first: AccessToken | undefined): TokenSource & { now: AccessToken | undefined; refusals: Refusal[] } {
  const made = {
    now: first,
    refusals: [] as Refusal[],
    current: () => made.now,
    async renew(refused: Refusal) {
      made.refusals.push(refused)
      made.now = tokenOf((made.now?.generation ?? 0) + 1)
      return made.now
    }
  }
  return made
}

/** One request that is refused, as the SDK tells its provider. */
function refusing(provider: AuthProvider): () => Promise<void> {
  return async () => {
    await provider.token()
    await provider.onUnauthorized(refusal())
  }
}

describe('asAuthProvider', () => {
  test('gives the current token, or none', async () => {
    expect(await asAuthProvider(source(tokenOf(1))).token()).toBe('token-1')
    expect(await asAuthProvider(source(undefined)).token()).toBeUndefined()
  })

  test('refuses a DPoP token, which it cannot carry', async () => {
    await expect(asAuthProvider(source(tokenOf(1, { scheme: 'DPoP' }))).token()).rejects.toMatchObject({
      code: 'MCPAUTH_UNSUPPORTED_TRANSPORT'
    })
  })

  test('renews the token that was refused, and tells the source all that the answer said', async () => {
    const tokens = source(tokenOf(1))
    const provider = asAuthProvider(tokens)
    await provider.token()
    await provider.onUnauthorized(refusal())
    expect(tokens.refusals).toEqual([
      {
        status: 401,
        cause: 'token',
        challenges: [{ scheme: 'bearer', parameters: { error: 'invalid_token' } }],
        token: tokenOf(1),
        accepted: true,
        request: { method: 'POST', url: serverUrl },
        headers: { 'www-authenticate': 'Bearer error="invalid_token"', 'x-id': '7' }
      }
    ])
    expect(await provider.token()).toBe('token-2')
  })

  test('an answer without a challenge is a refusal too, and one to a request without a token', async () => {
    const tokens = source(undefined)
    const provider = asAuthProvider(tokens)
    await provider.token()
    await provider.onUnauthorized({ response: new Response(null, { status: 401 }), serverUrl })
    expect(tokens.refusals).toMatchObject([{ challenges: [], token: undefined }])
  })

  test('T7 a late 401 to a token that has been replaced renews nothing', async () => {
    const tokens = source(tokenOf(1))
    const provider = asAuthProvider(tokens)
    await provider.token()
    tokens.now = tokenOf(2)
    await provider.onUnauthorized(refusal())
    expect(tokens.refusals).toEqual([])
  })

  test('T7 each request is judged by the token that it carried itself, and one that is asked about elsewhere by the latest', async () => {
    const tokens = source(tokenOf(1))
    const provider = asAuthProvider(tokens)
    const refused = Promise.withResolvers<void>()
    const early = (async () => {
      await provider.token()
      await refused.promise
      await provider.onUnauthorized(refusal())
    })()
    await new Promise(setImmediate)
    tokens.now = tokenOf(2)
    await (async () => void (await provider.token()))()
    refused.resolve()
    await early
    expect(tokens.refusals).toEqual([])
    await provider.onUnauthorized(refusal())
    expect(tokens.refusals).toMatchObject([{ token: { generation: 2 } }])
  })

  test('T19 after three renewals in a minute a granted token that is refused is an error, and a stored one is still renewed', async () => {
    const tokens = source(tokenOf(1))
    const refuse = refusing(asAuthProvider(tokens))
    for (let round = 0; round < 3; round += 1) await refuse()
    await expect(refuse()).rejects.toMatchObject({
      code: 'MCPAUTH_TOKEN_REFUSED',
      message: expect.stringContaining('https://mcp.example.com'),
      hint: expect.stringContaining('login https://mcp.example.com/mcp')
    })
    expect(tokens.refusals.map(({ accepted }) => accepted)).toEqual([true, true, true])
    tokens.now = tokenOf(9, { origin: 'refreshed' })
    await refuse()
    expect(tokens.refusals.at(-1)?.accepted).toBe(false)
    tokens.now = tokenOf(20, { origin: 'stored' })
    await refuse()
    expect(tokens.refusals.at(-1)?.accepted).toBe(true)
  })

  test('T19 a renewal of more than a minute ago counts no more', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const tokens = source(tokenOf(1))
    const refuse = refusing(asAuthProvider(tokens))
    for (let round = 0; round < 3; round += 1) await refuse()
    vi.advanceTimersByTime(59_999)
    await expect(refuse()).rejects.toMatchObject({ code: 'MCPAUTH_TOKEN_REFUSED' })
    vi.advanceTimersByTime(1)
    await refuse()
  })

  test('T7 a token that came while a request went without one is used without asking', async () => {
    const tokens = source(undefined)
    const provider = asAuthProvider(tokens)
    await provider.token()
    tokens.now = tokenOf(1)
    await provider.onUnauthorized(refusal())
    expect(tokens.refusals).toEqual([])
  })

  test('T19 requests that share one renewal count once', async () => {
    const tokens = source(tokenOf(1))
    const shared: TokenSource = { current: () => tokenOf(1), renew: async () => tokenOf(2) }
    const provider = asAuthProvider(shared)
    for (let round = 0; round < 6; round += 1) {
      await provider.token()
      await provider.onUnauthorized(refusal())
    }
    expect(tokens.refusals).toEqual([])
  })
})

describe('asOAuthClientProvider', () => {
  const server = new URL('https://mcp.example.com/mcp')
  const provide = (token: AccessToken | undefined, options?: { server: string }) =>
    asOAuthClientProvider({ ...source(token), server }, options)

  test('gives a fresh access token and nothing else, or nothing', async () => {
    expect(await provide(tokenOf(1)).tokens()).toEqual({ access_token: 'token-1', token_type: 'Bearer' })
    expect(await provide(undefined).tokens()).toBeUndefined()
  })

  test('refuses a DPoP token, which it cannot carry', async () => {
    await expect(provide(tokenOf(1, { scheme: 'DPoP' })).tokens()).rejects.toMatchObject({ code: 'MCPAUTH_UNSUPPORTED_TRANSPORT' })
  })

  test.each(['discoveryState', 'clientInformation', 'saveTokens', 'redirectToAuthorization', 'saveCodeVerifier', 'codeVerifier'] as const)(
    '%s, which starts a flow of the SDK, ends it before anyone is asked',
    async (member) => {
      const provider = provide(tokenOf(1))
      const loginRequired = (message: string) =>
        expect.objectContaining({
          code: 'MCPAUTH_LOGIN_REQUIRED',
          message,
          hint: 'run: npx @mcpauth/cli login https://mcp.example.com/mcp'
        })
      expect(() => provider[member]()).toThrow(loginRequired('https://mcp.example.com/mcp wants a login'))
      await provider.tokens()
      expect(() => provider[member]()).toThrow(loginRequired('https://mcp.example.com/mcp refuses the token'))
      const without = provide(undefined)
      await without.tokens()
      expect(() => without[member]()).toThrow(loginRequired('https://mcp.example.com/mcp wants a login'))
    }
  )

  test('the server of the hint is the one that is given, else that of the source, else nobody knows it', () => {
    expect(() => provide(tokenOf(1), { server: 'https://other.example' }).codeVerifier()).toThrow('https://other.example wants a login')
    const hint = (provider: ReturnType<typeof provide>): unknown => {
      try {
        return provider.codeVerifier()
      } catch (error) {
        return [(error as Error).message, (error as { hint?: string }).hint]
      }
    }
    expect(hint(asOAuthClientProvider(source(tokenOf(1))))).toEqual(['the server wants a login', 'run: npx @mcpauth/cli login <url>'])
  })

  test('has no redirect of its own', () => {
    expect(provide(undefined)).toMatchObject({ redirectUrl: undefined, clientMetadata: { redirect_uris: [], client_name: 'mcpauth' } })
  })
})

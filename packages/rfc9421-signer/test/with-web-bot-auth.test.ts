import type { JsonWebKey } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { parseSignatureAgent, verifySignature, withWebBotAuth } from '../src/index.ts'
import { loadSigningKey } from '../src/signing-keys.ts'
import { capture } from './capture.ts'
import { ed25519, p256, rsaPss, sharedSecret } from './rfc9421-appendix-b.ts'
import { haveVectors, vectors } from './vectors.ts'

interface ArchitectureCase {
  key: JsonWebKey
  target_url: string
  created_ms: number
  expires_ms: number
  nonce: string
  label: string
  signature: string
  signature_input: string
}

interface AgentCase {
  name: string
  header: string
  entries: Array<{ label: string; uri: string; type: 'directory' | 'cimd' }>
}

const server = 'https://mcp.example.com/mcp'
const request = {
  origin: 'https://mcp.example.com',
  path: '/mcp',
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: '{}'
}
const thumbprint = 'poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U'

describe('withWebBotAuth', () => {
  it('signs as the newest draft asks: a dictionary of agents, of which its own member is covered', async () => {
    const layer = withWebBotAuth(server, { key: ed25519, signatureAgent: 'https://bot.example/', now: () => 1_700_000_000_000 })
    const sent = await capture(layer, request)
    expect(sent.header('signature-agent')).toBe('sig1="https://bot.example"')
    expect(sent.header('signature-input')).toMatch(
      new RegExp(
        `^sig1=\\("@authority" "signature-agent";key="sig1"\\);created=1700000000;keyid="${thumbprint}";alg="ed25519";expires=1700000060;nonce="[\\w-]{86}";tag="web-bot-auth"$`
      )
    )
    const verified = await verifySignature(
      { method: 'POST', url: server, headers: sent.options.headers },
      { keys: [{ key: ed25519 }], tag: 'web-bot-auth', now: () => 1_700_000_000_000 }
    )
    expect(verified.signatureAgent).toEqual({ label: 'sig1', uri: 'https://bot.example', type: 'directory' })
  })

  it('signs as the draft before: one text, covered as a whole, and a nonce in base64', async () => {
    const layer = withWebBotAuth(server, { key: ed25519, signatureAgent: 'https://bot.example', signatureAgentForm: 'string' })
    const sent = await capture(layer, request)
    expect(sent.header('signature-agent')).toBe('"https://bot.example"')
    expect(sent.header('signature-input')).toMatch(/^sig1=\("@authority" "signature-agent"\);.*;nonce="[\w+/]{86}==";/)
    const verified = await verifySignature({ method: 'POST', url: server, headers: sent.options.headers }, { keys: [{ key: ed25519 }] })
    expect(verified.signatureAgent).toEqual({ label: undefined, uri: 'https://bot.example', type: 'directory' })
  })

  it('makes a new nonce for every send', async () => {
    const layer = withWebBotAuth(server, { key: ed25519 })
    const inputs = await Promise.all(Array.from({ length: 50 }, async () => (await capture(layer, request)).header('signature-input')))
    expect(new Set(inputs).size).toBe(50)
  })

  it.each([
    { directoryUrl: 'https://bot.example/.well-known/http-message-signatures-directory', agent: 'sig1="https://bot.example"' },
    { directoryUrl: 'https://bot.example/keys.json', agent: 'sig1="https://bot.example/keys.json";type=jwks_uri' },
    { signatureAgent: { uri: 'https://bot.example/card', type: 'cimd' as const }, agent: 'sig1="https://bot.example/card";type=cimd' }
  ])('names the place of the keys: $agent', async ({ agent, ...options }) => {
    const sent = await capture(withWebBotAuth(server, { key: ed25519, ...options }), request)
    expect(sent.header('signature-agent')).toBe(agent)
  })

  it('covers more when asked to, the token of another layer for one', async () => {
    const layer = withWebBotAuth(server, {
      key: ed25519,
      components: ['@authority', '@method', '@path'],
      componentsIfPresent: ['authorization'],
      contentDigest: 'sha-256'
    })
    const sent = await capture(layer, { ...request, headers: { authorization: 'Bearer x' } })
    expect(sent.header('signature-input')).toContain('("@authority" "@method" "@path" "authorization" "content-digest")')
  })

  it('stands beside another signature, each with its own member', async () => {
    const first = await capture(withWebBotAuth(server, { key: ed25519, signatureAgent: 'https://one.example' }), request)
    const second = await capture(
      withWebBotAuth(server, { key: rsaPss, label: 'sig2', signatureAgent: 'https://two.example' }),
      first.options
    )
    expect(second.header('signature-agent')).toBe('sig1="https://one.example", sig2="https://two.example"')
    for (const [label, key] of [
      ['sig1', ed25519],
      ['sig2', rsaPss]
    ] as const) {
      const options = { keys: [{ key }], label }
      const verified = await verifySignature({ method: 'POST', url: server, headers: second.options.headers }, options)
      expect(verified.signatureAgent?.label).toBe(label)
    }
  })

  it.each([
    { signatureAgent: 'http://bot.example' },
    { signatureAgent: 'https://bot.example/path' },
    { signatureAgent: 'https://user:word@bot.example' },
    { signatureAgent: 'bot.example' },
    { signatureAgent: 'https://bot.example', directoryUrl: 'https://bot.example' },
    { signatureAgent: { uri: 'https://bot.example', type: 'other' as never } },
    { components: ['@method'] },
    { components: ['@authority', '@AUTHORITY'] },
    { expiresInSeconds: 0 },
    { expiresInSeconds: 86_401 },
    { expiresInSeconds: false as never },
    { signatureAgentForm: 'other' as never },
    { label: 'Sig' }
  ])('refuses %j at construction', (options) => {
    expect(() => withWebBotAuth(server, { key: ed25519, ...options })).toThrow(expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION' }))
  })

  it('refuses a shared secret', () => {
    const options = { key: { env: 'SECRET' }, algorithm: 'hmac-sha256' as const, env: { SECRET: sharedSecret } }
    expect(() => withWebBotAuth(server, options)).toThrow(expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION' }))
  })

  it('signs with an EC key too', async () => {
    const sent = await capture(withWebBotAuth(server, { key: p256 }), request)
    const verified = await verifySignature({ method: 'POST', url: server, headers: sent.options.headers }, { keys: [{ key: p256 }] })
    expect(verified.algorithm).toBe('ecdsa-p256-sha256')
  })
})

describe.skipIf(!haveVectors).each(['web_bot_auth_architecture_v1.json', 'web_bot_auth_architecture_v2.json'])(
  'vectors/web-bot-auth/%s',
  (file) => {
    const cases: ArchitectureCase[] = haveVectors ? vectors(`web-bot-auth/${file}`) : []

    it('holds a case for RSA-PSS and one for Ed25519', () => {
      expect(cases.map(({ key }) => key.kty).sort()).toEqual(['OKP', 'RSA'])
    })

    it.each(cases)('$key.kty verifies', async (entry) => {
      const message = {
        method: 'GET',
        url: entry.target_url,
        headers: { signature: entry.signature, 'signature-input': entry.signature_input }
      }
      const verified = await verifySignature(message, { keys: [{ key: entry.key }], tag: 'web-bot-auth', now: () => entry.created_ms })
      expect(verified).toMatchObject({ label: entry.label, nonce: entry.nonce, components: ['"@authority"'] })
    })

    it('Ed25519 is signed to the same bytes', () => {
      const [entry] = cases.filter(({ key }) => key.kty === 'OKP')
      const base = `"@authority": example.com\n"@signature-params": ${entry?.signature_input.slice('sig1='.length)}`
      const signature = loadSigningKey({ key: entry?.key as JsonWebKey }).sign(Buffer.from(base))
      expect(`sig1=:${signature.toString('base64')}:`).toBe(entry?.signature)
    })

    it.each(cases)('$key.kty is what withWebBotAuth writes', async (entry) => {
      const lifetime = (entry.expires_ms - entry.created_ms) / 1000
      const layer = withWebBotAuth(entry.target_url, {
        key: entry.key,
        label: entry.label,
        nonce: () => entry.nonce,
        now: () => entry.created_ms,
        expiresInSeconds: Math.min(lifetime, 86_400)
      })
      const { origin, pathname } = new URL(entry.target_url)
      const sent = await capture(layer, { origin, path: pathname, method: 'GET' })
      // The second file's signatures are good for a century; we sign for a day at most, and the rest of the text is the same.
      const expires = `expires=${entry.created_ms / 1000 + Math.min(lifetime, 86_400)}`
      expect(sent.header('signature-input')).toBe(entry.signature_input.replace(/expires=\d+/, expires))
      const message = { method: 'GET', url: entry.target_url, headers: sent.options.headers }
      await expect(verifySignature(message, { keys: [{ key: entry.key }], now: () => entry.created_ms })).resolves.toBeDefined()
    })
  }
)

describe.skipIf(!haveVectors)('vectors/web-bot-auth/web_bot_auth_signature_agent_v1.json', () => {
  it.each(haveVectors ? (vectors('web-bot-auth/web_bot_auth_signature_agent_v1.json') as AgentCase[]) : [])(
    '$name is read and written',
    async (entry) => {
      expect(parseSignatureAgent(entry.header)).toEqual(entry.entries)
      for (const { label, uri, type } of entry.entries) {
        const sent = await capture(withWebBotAuth(server, { key: ed25519, label, signatureAgent: { uri, type } }), request)
        expect(sent.header('signature-agent')).toBe(entry.header)
      }
    }
  )
})

import { generateKeyPairSync } from 'node:crypto'
import type { ClientRecord, TokenRecord, TokenStore } from '@mcpauth/core'
import { memoryStore } from '@mcpauth/token-store'
import type { AuthorizationServer } from 'oauth4webapi'
import { describe, expect, test } from 'vitest'
import type { AuthorizationServerClient } from '../src/authorization-server-client.ts'
import { type ClientIdentity, type IdentityRequest, identify, identityOfRecord } from '../src/client-identity.ts'
import { checkOptions, type OAuthOptions } from '../src/options.ts'

const issuer = 'https://as.example.com'
const documentUrl = 'https://app.example.com/client.json'
const redirectUri = 'http://127.0.0.1:4000/callback'
const server: AuthorizationServer = { issuer, token_endpoint: `${issuer}/token`, registration_endpoint: `${issuer}/register` }
const withDocuments = { ...server, client_id_metadata_document_supported: true }
const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string

interface Given {
  options?: OAuthOptions
  request?: Partial<IdentityRequest>
  /** A registration that was kept. */
  kept?: ClientRecord
}

async function world({ options = {}, request = {}, kept }: Given = {}) {
  const memory = memoryStore()
  const deadlines: number[] = []
  const store: TokenStore = {
    ...memory,
    transact: (key, work, limits) => {
      deadlines.push(limits.deadlineMs)
      return memory.transact(key, work, limits)
    }
  }
  if (kept) await memory.transact({ kind: 'client', issuer }, (held) => held.write({ client: kept }), { deadlineMs: 1_000 })
  let registrations = 0
  const network: AuthorizationServerClient = {
    readMetadata: () => expect.unreachable(),
    send: async (_url, _what, { body }) => {
      registrations += 1
      return Response.json({ ...JSON.parse(body as string), client_id: 'registered-now' }, { status: 201 })
    }
  }
  const settings = checkOptions('https://mcp.example.com/mcp', { store, env: {}, ...options })
  return {
    settings,
    deadlines,
    registrations: () => registrations,
    kept: async (): Promise<TokenRecord | undefined> => await memory.read({ kind: 'client', issuer }),
    identify: () =>
      identify(settings, {
        server,
        network,
        redirectUri,
        grantTypes: ['authorization_code', 'refresh_token'],
        scope: undefined,
        registerAnew: false,
        issuerInUse: undefined,
        clientOptional: false,
        ...request
      })
  }
}

/** What a token request of this client carries to prove it. */
async function proofOf({ client, clientAuth }: ClientIdentity): Promise<Record<string, string>> {
  const [body, headers] = [new URLSearchParams(), new Headers()]
  await clientAuth(server, client, body, headers)
  return { ...Object.fromEntries(body), ...Object.fromEntries(headers) }
}

const basic = (id: string, secret: string) => ({ authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` })

const reusable: ClientRecord = {
  client_id: 'registered-once',
  token_endpoint_auth_method: 'none',
  redirect_uris: [redirectUri],
  grant_types: ['authorization_code', 'refresh_token'],
  issuer
}

describe('N8: who we are', () => {
  test.each<[string, string, string, Given]>([
    [
      'the user’s client first',
      'given',
      'mine',
      { options: { client: { clientId: 'mine' }, clientMetadataUrl: documentUrl }, request: { server: withDocuments }, kept: reusable }
    ],
    [
      'then the metadata document, where it is supported',
      'document',
      documentUrl,
      { options: { clientMetadataUrl: documentUrl }, request: { server: withDocuments }, kept: reusable }
    ],
    ['no document where it is not supported', 'stored', 'registered-once', { options: { clientMetadataUrl: documentUrl }, kept: reusable }],
    ['no document where there is none', 'stored', 'registered-once', { request: { server: withDocuments }, kept: reusable }],
    [
      'a new registration where the kept one is suspect',
      'registered',
      'registered-now',
      { request: { registerAnew: true }, kept: reusable }
    ],
    [
      'a new registration where the kept one is for another redirect URI',
      'registered',
      'registered-now',
      { kept: { ...reusable, redirect_uris: ['http://127.0.0.1:5000/callback'] } }
    ],
    ['a new registration where none was kept', 'registered', 'registered-now', {}]
  ])('%s', async (_name, source, clientId, given) => {
    const scene = await world(given)
    expect(await scene.identify()).toMatchObject({ source, record: { client_id: clientId, issuer }, client: { client_id: clientId } })
    expect(scene.registrations()).toBe(source === 'registered' ? 1 : 0)
  })

  test('a registration is kept for the next login, under a lock that is waited for', async () => {
    const scene = await world()
    await scene.identify()
    expect(await scene.kept()).toMatchObject({ version: 1, issuer, client: { client_id: 'registered-now', redirect_uris: [redirectUri] } })
    expect(await scene.identify()).toMatchObject({ source: 'stored' })
    expect(scene.registrations()).toBe(1)
    expect(scene.deadlines).toEqual([30_000])
  })

  test('nobody, where the server registers none: an error, or a grant that needs no client', async () => {
    const { registration_endpoint: _none, ...closed } = server
    await expect((await world({ request: { server: closed } })).identify()).rejects.toMatchObject({ code: 'MCPAUTH_REGISTRATION_FAILED' })
    const anonymous = await (await world({ request: { server: closed, clientOptional: true } })).identify()
    expect(anonymous.record).toEqual({ client_id: '', token_endpoint_auth_method: 'none', issuer })
    // oauth4webapi wants an id; nothing of it is sent.
    expect(anonymous.client.client_id).not.toBe('')
    expect(await proofOf(anonymous)).toEqual({})
  })
})

describe('N15, N16: the client of another issuer', () => {
  const client = { clientId: 'mine', clientSecret: () => 'the-secret' }
  const elsewhere = { ...client, issuer: 'https://other.example.com' }

  test.each<[string, Given]>([
    ['by the user’s word', { options: { client: elsewhere } }],
    ['by the record, where the user does not say', { options: { client }, request: { issuerInUse: 'https://other.example.com' } }]
  ])('is not used here, %s', async (_name, given) => {
    await expect((await world(given)).identify()).rejects.toMatchObject({ code: 'MCPAUTH_CLIENT_MISMATCH' })
  })

  test.each<[string, Given]>([
    [
      'the user’s word counts more than the record',
      { options: { client: { ...client, issuer } }, request: { issuerInUse: 'https://other.example.com' } }
    ],
    [
      'a metadata document is portable',
      {
        options: { client: { ...elsewhere, clientId: documentUrl }, clientMetadataUrl: documentUrl },
        request: { server: withDocuments, issuerInUse: 'https://other.example.com' }
      }
    ]
  ])('%s', async (_name, given) => {
    expect((await (await world(given)).identify()).record.issuer).toBe(issuer)
  })
})

describe('how we prove it', () => {
  test.each<[string, string, OAuthOptions, Partial<AuthorizationServer>]>([
    ['nothing', 'none', { client: { clientId: 'mine' } }, {}],
    ['a secret', 'client_secret_basic', { client: { clientId: 'mine', clientSecret: () => 's' } }, {}],
    [
      'a secret, in the body where the server wants it there',
      'client_secret_post',
      { client: { clientId: 'mine', clientSecret: () => 's' } },
      { token_endpoint_auth_methods_supported: ['client_secret_post'] }
    ],
    ['a key', 'private_key_jwt', { client: { clientId: 'mine', privateKey: () => pem } }, {}],
    [
      'what the user says',
      'client_secret_post',
      { client: { clientId: 'mine', clientSecret: () => 's', tokenEndpointAuthMethod: 'client_secret_post' } },
      {}
    ],
    ['a document without a key', 'none', { clientMetadataUrl: documentUrl }, {}],
    [
      'a document with a key',
      'private_key_jwt',
      { clientMetadataUrl: documentUrl, client: { clientId: documentUrl, privateKey: () => pem } },
      {}
    ]
  ])('with %s', async (_name, method, options, metadata) => {
    const scene = await world({ options, request: { server: { ...withDocuments, ...metadata } } })
    expect((await scene.identify()).record.token_endpoint_auth_method).toBe(method)
  })

  test('a secret of the user is read when it is needed and is kept nowhere', async () => {
    let secret = 'first'
    const scene = await world({ options: { client: { clientId: 'mine', clientSecret: () => secret } } })
    const identity = await scene.identify()
    expect(await proofOf(identity)).toEqual(basic('mine', 'first'))
    secret = 'second'
    expect(await proofOf(await scene.identify())).toEqual(basic('mine', 'second'))
    expect(JSON.stringify(identity.record)).not.toContain('first')
  })

  test.each<[string, OAuthOptions['client']]>([
    ['client.clientSecret', { clientId: 'mine', clientSecret: { env: 'ABSENT' } }],
    ['client.privateKey', { clientId: 'mine', privateKey: { env: 'ABSENT' } }]
  ])('what is missing is named: %s', async (name, client) => {
    const scene = await world({ options: { client: client as NonNullable<typeof client> } })
    await expect(scene.identify()).rejects.toMatchObject({ code: 'MCPAUTH_CREDENTIAL_MISSING', message: expect.stringContaining(name) })
  })
})

test('a document has no secret: one that the user gives with it goes nowhere', async () => {
  const options = { clientMetadataUrl: documentUrl, client: { clientId: documentUrl, clientSecret: () => 'the-secret' } }
  const identity = await (await world({ options, request: { server: withDocuments } })).identify()
  expect(identity.record.token_endpoint_auth_method).toBe('none')
  expect(JSON.stringify(await proofOf(identity))).not.toContain('the-secret')
})

describe('the client of a record', () => {
  const mine = { client: { clientId: 'mine', clientSecret: () => 'secret-of-mine' } }
  const of = async (record: ClientRecord | undefined, options: OAuthOptions = {}, as = server) =>
    await identityOfRecord((await world({ options })).settings, record, as)

  test('T2: proves itself with its own secret, never with that of the user’s other client', async () => {
    const record = { client_id: 'registered', client_secret: 'its-own' }
    expect(await proofOf((await of(record, mine)) as ClientIdentity)).toEqual(basic('registered', 'its-own'))
    expect(await of({ client_id: 'registered' }, mine)).toMatchObject({ record: { token_endpoint_auth_method: 'none' } })
  })

  test('is the user’s, where it has the same id, with the user’s secret', async () => {
    const record = { client_id: 'mine', token_endpoint_auth_method: 'client_secret_basic' }
    expect(await proofOf((await of(record, mine)) as ClientIdentity)).toEqual(basic('mine', 'secret-of-mine'))
  })

  test('is the user’s, where the record does not say', async () => {
    expect(await of(undefined, mine)).toMatchObject({ record: { client_id: 'mine', issuer } })
    expect(await of(undefined)).toBeUndefined()
  })

  test.each<[string, string | undefined, AuthorizationServer]>([
    ['client_secret_basic', 'a-secret', server],
    ['client_secret_post', 'a-secret', { ...server, token_endpoint_auth_methods_supported: ['client_secret_post'] }],
    ['none', undefined, server]
  ])('that does not say how it proves itself does so by %s', async (method, client_secret, as) => {
    const record = { client_id: 'elsewhere', ...(client_secret === undefined ? {} : { client_secret }) }
    expect(await of(record, {}, as)).toMatchObject({ source: 'stored', record: { token_endpoint_auth_method: method } })
  })

  test('that does not say how it proves itself uses the user’s key, where it is the user’s', async () => {
    const options = { client: { clientId: 'mine', privateKey: () => pem } }
    expect(await of({ client_id: 'mine' }, options)).toMatchObject({ record: { token_endpoint_auth_method: 'private_key_jwt' } })
  })

  test.each<[string, boolean | undefined, true | undefined]>([
    ['tls_client_auth', undefined, true],
    ['self_signed_tls_client_auth', undefined, true],
    ['tls_client_auth', false, undefined],
    ['none', undefined, undefined],
    ['none', true, true]
  ])('N43: with %s and useMtlsEndpoints %s, the endpoints for certificates are used: %s', async (method, useMtlsEndpoints, expected) => {
    const options = useMtlsEndpoints === undefined ? {} : { useMtlsEndpoints }
    const identity = await of({ client_id: 'registered', token_endpoint_auth_method: method }, options)
    expect(identity?.client.use_mtls_endpoint_aliases).toBe(expected)
  })
})

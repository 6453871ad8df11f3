import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StoreKey, TokenStore } from '@mcpauth/core'
import { fileStore } from '@mcpauth/token-store'
import { postgresStore } from '@mcpauth/token-store-postgres'
import { type Database, startDatabase } from '../postgres/database.ts'
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  directLogin,
  sendJson,
  startAuthorizationServer,
  startOrigin
} from '../servers/index.ts'
import { protect } from '../servers/protected-resource.ts'
import type { AgentTask } from './fault-points.ts'
import type { StoreKind } from './goal.ts'

/** A strict authorization server, a protected resource, and a cache on disk that a login has filled. */
export interface World extends AsyncDisposable {
  readonly authorizationServer: AuthorizationServer
  readonly server: URL
  readonly key: StoreKey
  readonly root: string
  readonly store: TokenStore
  /** Where its tokens are in PostgreSQL. */
  readonly database: Database | undefined
  /** What every agent of this world is started with. */
  agentTask(staleMs: number): AgentTask
  /** How many logins were made because the grant was gone. */
  readonly logins: number
  /** From now on every token issued before is refused. */
  expire(): void
  /** Logs in by hand and writes the cache. */
  login(): Promise<void>
}

/** @param kind Where its tokens are. @default 'file' */
export async function startWorld(options: AuthorizationServerOptions = {}, kind: StoreKind = 'file'): Promise<World> {
  const database = kind === 'postgres' ? await startDatabase() : undefined
  const authorizationServer = await startAuthorizationServer(options)
  const origin = await startOrigin()
  const gate = protect(origin, ['/mcp'], { authorizationServer })
  origin.mount('/mcp', async (request, response) => {
    // What is recorded would be the only thing here that grows.
    origin.requests.length = 0
    if (await gate.enter(request, response, 'POST', '/mcp')) sendJson(response, 200, { answered: true })
  })
  const root = mkdtempSync(join(tmpdir(), 'mcpauth-stress-'))
  const server = new URL('/mcp', origin.url)
  const key: StoreKey = { kind: 'server', url: server.href }
  const store = database ? await databaseStore(database) : fileStore({ root })
  let logins = 0

  async function login(): Promise<void> {
    logins += 1
    const { access_token, refresh_token, token_type, expires_in, scope, issuer, token_endpoint, resource, client_id } = await directLogin(
      authorizationServer,
      server
    )
    await store.transact(
      key,
      async (held) => {
        const before = await held.read()
        await held.write({
          access_token,
          refresh_token,
          token_type,
          ...(scope === undefined ? {} : { scope }),
          expires_at_unix: Math.floor(Date.now() / 1000) + expires_in,
          lifetime: expires_in,
          generation: (before?.generation ?? 0) + 1,
          issuer,
          token_endpoint,
          resource,
          client: { client_id, token_endpoint_auth_method: 'none' }
        })
      },
      { deadlineMs: 60_000 }
    )
  }

  await login()
  logins = 0
  return {
    authorizationServer,
    server,
    key,
    root,
    store,
    database,
    agentTask: (staleMs) => ({ server: server.href, root, staleMs, ...(database ? { database: database.config } : {}) }),
    get logins() {
      return logins
    },
    expire: gate.expire,
    login,
    async [Symbol.asyncDispose]() {
      await authorizationServer[Symbol.asyncDispose]()
      await origin.close()
      await database?.[Symbol.asyncDispose]()
      rmSync(root, { recursive: true, force: true })
    }
  }
}

async function databaseStore(database: Database): Promise<TokenStore> {
  const store = postgresStore({ pool: database.pool(), dangerouslyStorePlaintext: true })
  await store.ensureSchema()
  return store
}

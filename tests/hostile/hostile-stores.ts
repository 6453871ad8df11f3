import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StoreKey, TokenRecord, TokenStore } from '@mcpauth/core'
import type { StoreProbe } from '@mcpauth/token-store'
import type { Keychain } from '@mcpauth/token-store-keyring'
import { type PostgresStore, postgresStore } from '@mcpauth/token-store-postgres'
import { type Database, startDatabase } from '../postgres/database.ts'

/** Long enough for whoever waits, and for nobody to wait for ever. */
export const deadline = { deadlineMs: 20_000 } as const

/** The key under which the canaries of a server are kept. */
export const keyOf = (server: string): StoreKey => ({ kind: 'server', url: server })

/** A whole record of a server, with a secret in each place that can hold one. */
export function grantOf(server: string, { access, refresh, secret }: Readonly<Record<string, string>>): TokenRecord {
  const { origin } = new URL(server)
  return {
    access_token: access as string,
    refresh_token: refresh as string,
    token_type: 'Bearer',
    generation: 1,
    server_url: server,
    resource: server,
    issuer: origin,
    token_endpoint: `${origin}/token`,
    client: { client_id: 'robot', client_secret: secret as string, token_endpoint_auth_method: 'client_secret_post', issuer: origin }
  }
}

/** Puts a record where it belongs. */
export function keep(store: TokenStore, key: StoreKey, record: TokenRecord): Promise<void> {
  return store.transact(key, (held) => held.write(record), deadline)
}

/** Folders that are gone when the tests are over. */
export interface Folders extends Disposable {
  make(): string
}

export function temporaryFolders(): Folders {
  const made: string[] = []
  return {
    make() {
      const folder = mkdtempSync(join(tmpdir(), 'mcpauth-hostile-'))
      made.push(folder)
      return folder
    },
    [Symbol.dispose]() {
      for (const folder of made) rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** A disk that is full when the new file has been written, and says so in the words of the record. */
export function fullDisk(): StoreProbe {
  return {
    replaceFile: (path) => Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', path }))
  }
}

/** A keychain in memory. */
export function memoryKeychain(): Keychain & { readonly entries: Map<string, string> } {
  const entries = new Map<string, string>()
  return {
    entries,
    get: async (account) => entries.get(account),
    set: async (account, password) => void entries.set(account, password),
    delete: async (account) => void entries.delete(account),
    all: async () => [...entries].map(([account, password]) => ({ account, password }))
  }
}

/** PostgreSQL, started when it is first asked for. */
export interface HostileDatabase extends AsyncDisposable {
  database(): Promise<Database>
  /** Records are encrypted. */
  encrypted(): Promise<PostgresStore>
  /** Records stand in clear text, and whoever replaces one is refused with an error that quotes it, in each of its fields. */
  stuck(): Promise<{ readonly free: PostgresStore; readonly stuck: PostgresStore }>
}

export const encryptionKey: string = randomBytes(32).toString('base64')

export function hostileDatabase(): HostileDatabase {
  let started: Promise<Database> | undefined
  let stuckReady: Promise<unknown> | undefined

  async function start(): Promise<Database> {
    const database = await startDatabase()
    await sealed(database).ensureSchema()
    return database
  }
  function database(): Promise<Database> {
    started ??= start()
    return started
  }
  function sealed(of: Database): PostgresStore {
    return postgresStore({ pool: of.pool({ max: 10 }), encryptionKey: { env: 'KEY' }, env: { KEY: encryptionKey } })
  }

  return {
    database,
    encrypted: async () => sealed(await database()),
    async stuck() {
      const pool = (await database()).pool({ max: 10, options: '-c search_path=stuck' })
      const store = postgresStore({ pool, dangerouslyStorePlaintext: true })
      stuckReady ??= pool.query('CREATE SCHEMA stuck').then(() => store.ensureSchema().then(() => pool.query(quotingTrigger)))
      await stuckReady
      const free = (await database()).pool({ max: 2, options: '-c search_path=stuck -c session_replication_role=replica' })
      return { stuck: store, free: postgresStore({ pool: free, dangerouslyStorePlaintext: true }) }
    },
    async [Symbol.asyncDispose]() {
      await (await started)?.[Symbol.asyncDispose]()
    }
  }
}

/** Fires for everybody but a replica. A serialization failure is what a database under load says; this one also quotes the row. */
const quotingTrigger = `
CREATE FUNCTION quote_row() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE row_text text := convert_from(NEW.record, 'UTF8');
BEGIN
  RAISE EXCEPTION 'could not serialize access: %', row_text
    USING ERRCODE = '40001', DETAIL = row_text, HINT = row_text, COLUMN = row_text, CONSTRAINT = row_text, TABLE = row_text;
END $$;
CREATE TRIGGER quote BEFORE UPDATE ON mcpauth_records FOR EACH ROW WHEN (OLD.record IS NOT NULL) EXECUTE FUNCTION quote_row();
`

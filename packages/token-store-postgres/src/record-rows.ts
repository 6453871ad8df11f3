import { McpAuthError, publish, type StoreKey, type TokenRecord } from '@mcpauth/core'
import { canonicalKey, describeKey, holdsSomething, parseRecord, serializeRecord, storeFileName } from '@mcpauth/token-store'
import type { Pool, PoolClient } from 'pg'
import type { RecordCipher, SealedRecord } from './encryption.ts'
import { limited } from './reachable.ts'

/** Where a key's record stands. */
export interface RowName {
  readonly name: string
  readonly kind: StoreKey['kind']
  readonly key: string
  readonly storeKey: StoreKey
}

/** A record, sealed and ready to be written. */
export interface NewRow {
  readonly sealed: SealedRecord
  readonly live: boolean
}

/** A row as `pg` returns it. */
export interface FoundRow {
  key_id: string | null
  record: Buffer | null
}

type Queryable = Pick<PoolClient | Pool, 'query'>

export function rowOf(key: StoreKey): RowName {
  return { name: storeFileName(key), kind: key.kind, key: JSON.stringify(canonicalKey(key)), storeKey: key }
}

/** What a row holds, still sealed; undefined for a row that was made to be locked and never written. */
export function sealedIn(found: FoundRow | undefined): SealedRecord | undefined {
  return found?.record ? { keyId: found.key_id, bytes: found.record } : undefined
}

export async function readRow(database: Queryable, row: RowName): Promise<SealedRecord | undefined> {
  const { rows } = await database.query<FoundRow>(limited('SELECT key_id, record FROM mcpauth_records WHERE name = $1', [row.name]))
  return sealedIn(rows[0])
}

export async function writeRow(database: Queryable, row: RowName, { sealed, live }: NewRow): Promise<void> {
  await database.query(
    limited(
      `INSERT INTO mcpauth_records (name, kind, key, key_id, record, live) VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (name) DO UPDATE SET key_id = excluded.key_id, record = excluded.record, live = excluded.live, updated_at = now()`,
      [row.name, row.kind, row.key, sealed.keyId, sealed.bytes, live]
    )
  )
}

/**
 * A record from a row's bytes. What was tampered with is told and reads as nothing; the next login writes over it.
 *
 * @throws `MCPAUTH_STORE_NEWER`, `MCPAUTH_STORE_UNAVAILABLE` for a key that is not configured.
 */
export function openRecord(cipher: RecordCipher, row: RowName, sealed: SealedRecord | undefined): TokenRecord | undefined {
  if (!sealed) return undefined
  const bytes = cipher.open(sealed, row.name)
  const parsed = bytes ? parseRecord(bytes, row.storeKey) : ({ outcome: 'damaged', reason: 'was changed in the database' } as const)
  if (parsed.outcome === 'newer') throw newer(row.storeKey)
  if (parsed.outcome === 'record') return parsed.record
  publish('mcpauth:store:warning', { store: 'postgres', key: describeKey(row.storeKey), reason: parsed.reason })
  return undefined
}

export function sealRecord(cipher: RecordCipher, row: RowName, record: TokenRecord): NewRow {
  return { sealed: cipher.seal(serializeRecord(record, row.storeKey), row.name), live: holdsSomething(record, row.kind) }
}

/** Every sealing has a nonce of its own, so equal bytes are one and the same write. */
export function isSame(a: SealedRecord | undefined, b: SealedRecord | undefined): boolean {
  if (!a || !b) return a === b
  return a.keyId === b.keyId && a.bytes.equals(b.bytes)
}

function newer(key: StoreKey): McpAuthError {
  return new McpAuthError('MCPAUTH_STORE_NEWER', `the record of ${describeKey(key)} was written by a newer version`, {
    hint: 'update mcpauth'
  })
}

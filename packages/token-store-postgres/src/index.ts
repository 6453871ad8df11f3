export type { EncryptionKeySource } from './encryption.ts'
export { type PostgresPool, type PostgresStore, type PostgresStoreOptions, postgresStore } from './postgres-store.ts'
export { schemaSql } from './schema.ts'

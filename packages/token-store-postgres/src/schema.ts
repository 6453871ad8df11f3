/**
 * What the store needs in the database; every statement can be run again. `mcpauth_records` holds one row per key, encrypted; `mcpauth_leases` holds who is
 * logging in.
 */
export const schemaSql: string = `
CREATE TABLE IF NOT EXISTS mcpauth_records (
  name text PRIMARY KEY,
  kind text NOT NULL,
  key jsonb NOT NULL,
  key_id text,
  record bytea,
  live boolean NOT NULL DEFAULT false,
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS mcpauth_leases (
  name text PRIMARY KEY,
  holder text NOT NULL,
  token uuid NOT NULL,
  expires_at timestamptz NOT NULL
);
`.trim()

/**
 * The same for many processes that start at once: `IF NOT EXISTS` looks first and makes afterwards, so two of them at the same time collide in the catalogue.
 * Sent as one message it is one transaction, and the lock goes with it.
 */
export const schemaUnderLockSql: string = `SELECT pg_advisory_xact_lock(7163265416981);\n${schemaSql}`

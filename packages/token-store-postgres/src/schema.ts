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

import { type PostgresStore, postgresStore } from '@mcpauth/token-store-postgres'
import { Pool, type PoolConfig } from 'pg'
import type { Point } from './fault-points.ts'
import { tapPool } from './tapped-pool.ts'

/** An agent's store in PostgreSQL, with the points at which it can be struck. */
export function databaseStore(config: PoolConfig, reach: (point: Point) => void): PostgresStore {
  return postgresStore({ pool: tapPool(new Pool({ ...config, max: 2 }), reach), dangerouslyStorePlaintext: true })
}

import type { PostgresPool } from '@mcpauth/token-store-postgres'
import type { Pool, PoolClient } from 'pg'
import type { Point } from './fault-points.ts'

/** Which point of a refresh lies right after a statement, or right before it. */
const after: readonly [text: RegExp, point: Point][] = [
  [/FOR UPDATE$/, 'lock-taken'],
  [/^INSERT .* DO UPDATE/s, 'temp-written'],
  [/^COMMIT$/, 'renamed']
]
const before: readonly [text: RegExp, point: Point][] = [[/^COMMIT$/, 'temp-synced']]

/** A pool that says where a refresh is: the names of the points are those of a file that is written, synced and renamed. */
export function tapPool(pool: Pool, reach: (point: Point) => void): PostgresPool {
  return {
    query: pool.query.bind(pool),
    on: pool.on.bind(pool),
    listenerCount: pool.listenerCount.bind(pool),
    connect: async () => tapClient(await pool.connect(), reach)
  }
}

function tapClient(client: PoolClient, reach: (point: Point) => void): PoolClient {
  async function query(statement: { text: string }): Promise<unknown> {
    for (const [text, point] of before) if (text.test(statement.text)) reach(point)
    const result = await client.query(statement)
    for (const [text, point] of after) if (text.test(statement.text)) reach(point)
    return result
  }
  function release(error?: Error): void {
    reach('before-release')
    client.release(error)
  }
  return new Proxy(client, {
    get(target, name) {
      if (name === 'query') return query
      if (name === 'release') return release
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
}

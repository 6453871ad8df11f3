// A process that finds an expired token: lock, re-read, ask if it is still the old one, write. Told what to do by its parent.
import type { StoreKey } from '@mcpauth/core'
import { postgresStore } from '@mcpauth/token-store-postgres'
import { Pool, type PoolConfig } from 'pg'

interface Task {
  config: PoolConfig
  key: StoreKey
  encryptionKey: string
  hold?: boolean
}

process.once('message', async ({ config, key, encryptionKey, hold }: Task) => {
  const pool = new Pool(config)
  const store = postgresStore({ pool, encryptionKey: () => encryptionKey })
  const result = await store.transact(
    key,
    async (held) => {
      if (hold) {
        process.send?.('holding')
        await new Promise(() => setInterval(() => undefined, 1000))
      }
      const record = await held.read()
      if ((record?.generation ?? 0) > 1) return { generation: record?.generation, asked: false }
      // As long as an authorization server would take.
      await new Promise((resolve) => setTimeout(resolve, 50))
      await held.write({ ...record, access_token: 'generation-2', generation: 2 })
      return { generation: 2, asked: true }
    },
    { deadlineMs: 30_000 }
  )
  await pool.end()
  process.send?.(result)
  process.disconnect()
})
process.send?.('ready')

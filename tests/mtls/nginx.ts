import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Whether nginx is on this machine (Debian: nginx-light). */
export const hasNginx: boolean = spawnSync('nginx', ['-v']).status === 0

/** What nginx needs to ask for client certificates. All PEM. */
export interface NginxOptions {
  cert: string
  key: string
  /** The authority of the clients. */
  clientCa: string
  /** More lines of the server block. */
  directives?: string[]
  /** Where requests go that passed; without it, nginx answers with the client's name itself. */
  upstream?: string
}

/** Starts nginx with `ssl_verify_client on`, on loopback. */
export async function startNginx(options: NginxOptions): Promise<{ url: string; stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'mcpauth-nginx-'))
  // The worker runs as nobody when the test runs as root.
  chmodSync(folder, 0o755)
  const port = await freePort()
  for (const [name, text] of Object.entries({ 'cert.pem': options.cert, 'key.pem': options.key, 'client-ca.pem': options.clientCa })) {
    writeFileSync(join(folder, name), text)
  }
  writeFileSync(join(folder, 'nginx.conf'), configuration(folder, port, options))
  const child = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr', '-g', 'daemon off;'], {
    stdio: ['ignore', 'ignore', 'pipe']
  })
  const exited = once(child, 'exit')
  await Promise.race([listening(child.stderr), exited.then(() => Promise.reject(new Error('nginx did not start')))])
  return {
    url: `https://localhost:${port}/mcp`,
    async stop() {
      child.kill('SIGQUIT')
      await exited
      rmSync(folder, { recursive: true })
    }
  }
}

function configuration(folder: string, port: number, { directives = [], upstream }: NginxOptions): string {
  const answer = upstream
    ? `proxy_pass ${upstream}; proxy_http_version 1.1; proxy_buffering off; proxy_set_header X-Client $ssl_client_s_dn;`
    : 'default_type text/plain; return 200 "$ssl_client_s_dn $http_authorization";'
  return `
    pid ${folder}/nginx.pid;
    worker_processes 1;
    error_log stderr notice;
    events { worker_connections 64; }
    http {
      access_log off;
      client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
      uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
      server {
        listen 127.0.0.1:${port} ssl;
        ssl_certificate ${folder}/cert.pem;
        ssl_certificate_key ${folder}/key.pem;
        ssl_client_certificate ${folder}/client-ca.pem;
        ssl_verify_client on;
        ${directives.join('\n        ')}
        location / { ${answer} }
      }
    }`
}

/** nginx says so when its workers run; its sockets are bound before. */
async function listening(log: NodeJS.ReadableStream): Promise<void> {
  let text = ''
  for await (const chunk of log) {
    text += String(chunk)
    if (text.includes('start worker process ')) break
  }
  log.resume()
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

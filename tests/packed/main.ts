// Packs every package, installs the tarballs in an empty project, type-checks a user's code against them, and runs it.
// ./dev packed
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')
const project = mkdtempSync(join(tmpdir(), 'mcpauth-packed-'))

function run(command: string, args: string[], cwd: string): void {
  execFileSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] })
}

function manifest(folder: string): { name: string; version: string } {
  return JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8'))
}

try {
  run('pnpm', ['--silent', 'run', 'build'], root)
  const tarballs: Record<string, string> = {}
  mkdirSync(join(project, 'tarballs'))
  for (const folder of readdirSync(join(root, 'packages'))) {
    const { name, version } = manifest(folder)
    run('pnpm', ['--silent', 'pack', '--pack-destination', join(project, 'tarballs')], join(root, 'packages', folder))
    tarballs[name] = `file:tarballs/${name.replace('@', '').replace('/', '-')}-${version}.tgz`
  }
  const versions = JSON.parse(readFileSync(join(root, 'tests/package.json'), 'utf8')).dependencies
  const development = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).devDependencies
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({
      name: 'an-empty-project',
      private: true,
      type: 'module',
      dependencies: {
        ...tarballs,
        pg: versions.pg,
        undici: versions.undici,
        '@modelcontextprotocol/sdk': versions['@modelcontextprotocol/sdk']
      },
      devDependencies: { typescript: development.typescript, '@types/node': development['@types/node'] },
      overrides: tarballs
    })
  )
  writeFileSync(
    join(project, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        module: 'nodenext',
        target: 'es2024',
        lib: ['es2024', 'esnext.disposable', 'dom', 'dom.iterable', 'dom.asynciterable'],
        types: ['node'],
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        noEmit: true
      },
      include: ['*.ts']
    })
  )
  cpSync(join(import.meta.dirname, 'project'), project, { recursive: true })
  run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', '--ignore-scripts'], project)
  run(join(project, 'node_modules/.bin/tsc'), ['-p', '.'], project)
  run('node', ['use.ts'], project)
  run(join(project, 'node_modules/.bin/mcpauth'), ['--version'], project)
  console.log('packed: installed, type-checked with skipLibCheck false, and run')
} finally {
  rmSync(project, { recursive: true, force: true })
}

// Changes the code in thousands of small ways, one at a time, and looks which of them no test of the same package notices.
//   ./dev mutation                                     all of core, refresh-on-401, token-store and oauth, in a clone: about an hour
//   ./dev mutation packages/oauth/src/refresh.ts …     some files, or packages: packages/core
//   ./dev mutation --here …                            in this work tree, which must be clean
//   MCPAUTH_MUTATION_TESTS='packages/oauth/test/refresh-once.test.ts'   only those tests, as globs
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { type Explained, explained } from './explained.ts'

interface Place {
  line: number
  column: number
}

interface Mutant {
  status: 'Killed' | 'Timeout' | 'Survived' | 'NoCoverage' | 'Ignored' | 'CompileError' | 'RuntimeError'
  replacement?: string
  location: { start: Place; end: Place }
}

interface Report {
  files: Record<string, { source: string; mutants: Mutant[] }>
}

interface Tally {
  killed: number
  of: number
  unexplained: number
}

const packages = ['refresh-on-401', 'token-store', 'core', 'oauth'] as const

const { values, positionals } = parseArgs({ allowPositionals: true, options: { here: { type: 'boolean', default: false } } })
const root = join(import.meta.dirname, '..', '..')
process.exitCode = (values.here ? await inPlace() : await inClone()) ? 0 : 1

async function inPlace(): Promise<boolean> {
  // Files are changed where they are: what is not committed could be lost.
  if (execFileSync('git', ['status', '--porcelain', '--untracked-files=no'], { cwd: root }).length > 0)
    throw new Error('commit or stash first')
  return await mutate(root)
}

async function inClone(): Promise<boolean> {
  const clone = mkdtempSync(join(tmpdir(), 'mcpauth-mutation-'))
  try {
    execFileSync('git', ['clone', '-q', root, clone])
    execFileSync('./dev', ['exec', 'true'], { cwd: clone, stdio: 'inherit' })
    return await mutate(clone)
  } finally {
    rmSync(clone, { recursive: true, force: true })
  }
}

async function mutate(folder: string): Promise<boolean> {
  const total: Tally = { killed: 0, of: 0, unexplained: 0 }
  for (const name of packages) {
    const wanted = positionals.map((path) => relative(root, path)).filter((path) => `${path}/`.startsWith(`packages/${name}/`))
    if (positionals.length > 0 && wanted.length === 0) continue
    const { killed, of, unexplained } = judge(await mutatePackage(folder, name, wanted))
    total.killed += killed
    total.of += of
    total.unexplained += unexplained
  }
  console.log(`${score(total.killed, total.of)} in all: ${total.killed} of ${total.of} killed, ${total.unexplained} survivors unexplained`)
  return total.unexplained === 0
}

/** First against the tests that need no server; then what survived, against all. */
async function mutatePackage(folder: string, name: string, wanted: readonly string[]): Promise<Report> {
  const all = `packages/${name}/src/**/*.ts`
  const sources = wanted.length === 0 || wanted.includes(`packages/${name}`) ? [all, '!**/index.ts'] : wanted
  const report = await stryker(folder, sources, { ...testsOf(name), MCPAUTH_MUTATION_QUICK: '' })
  const survivors = Object.entries(report.files).flatMap(([file, { mutants }]) =>
    mutants.filter(hasSurvived).map((mutant) => ({ id: idOf(file, mutant), range: rangeOf(file, mutant) }))
  )
  if (survivors.length === 0) return report
  const second = await stryker(folder, [...new Set(survivors.map(({ range }) => range))], testsOf(name))
  const statuses = new Map(
    Object.entries(second.files).flatMap(([file, { mutants }]) => mutants.map((mutant) => [idOf(file, mutant), mutant.status]))
  )
  for (const [file, { mutants }] of Object.entries(report.files))
    for (const mutant of mutants.filter(hasSurvived)) mutant.status = statuses.get(idOf(file, mutant)) ?? mutant.status
  return report
}

function testsOf(name: string): Record<string, string> {
  return { MCPAUTH_MUTATION_TESTS: process.env.MCPAUTH_MUTATION_TESTS ?? `packages/${name}/test/**/*.test.ts` }
}

async function stryker(folder: string, sources: readonly string[], env: Record<string, string>): Promise<Report> {
  const status = await new Promise((settle, fail) => {
    const run = spawn('./dev', ['exec', 'stryker', 'run', '--mutate', sources.join(',')], {
      cwd: folder,
      stdio: 'inherit',
      env: { ...process.env, ...env }
    })
    run.on('error', fail).on('close', settle)
  })
  if (status !== 0) throw new Error(`stryker ended with ${status}`)
  return JSON.parse(readFileSync(join(folder, '.artifacts', 'mutation.json'), 'utf8'))
}

function hasSurvived({ status }: Mutant): boolean {
  return status === 'Survived' || status === 'NoCoverage'
}

function idOf(file: string, { location, replacement }: Mutant): string {
  return JSON.stringify([file, location, replacement])
}

function rangeOf(file: string, { location: { start, end } }: Mutant): string {
  return `${file}:${start.line}:${start.column - 1}-${end.line}:${end.column - 1}`
}

/** Prints a line per file and every survivor that nobody has explained. */
function judge({ files }: Report): Tally {
  const all: Tally = { killed: 0, of: 0, unexplained: 0 }
  for (const [file, { source, mutants }] of Object.entries(files).toSorted()) {
    const tried = mutants.filter(({ status }) => ['Killed', 'Timeout', 'Survived', 'NoCoverage'].includes(status))
    const survivors = tried.filter(hasSurvived)
    const rows = explained.filter((row) => row.file === file)
    const unexplained = survivors.filter((mutant) => !takeRow(rows, textAt(source, mutant), mutant.replacement ?? ''))
    all.killed += tried.length - survivors.length
    all.of += tried.length
    all.unexplained += unexplained.length
    console.log(
      `${score(tried.length - survivors.length, tried.length)} ${file}  ${survivors.length} survive, ${unexplained.length} unexplained`
    )
    for (const mutant of unexplained)
      console.log(`       ${mutant.location.start.line}: ${line(textAt(source, mutant))}  →  ${line(mutant.replacement ?? '')}`)
    for (const { from, to } of rows) console.log(`       (explained, but met by no survivor: ${from}  →  ${to})`)
  }
  return all
}

/** A row explains one mutant: the same change at another place is another matter. */
function takeRow(rows: Explained[], from: string, to: string): boolean {
  const index = rows.findIndex((row) => row.from === line(from) && row.to === line(to))
  if (index >= 0) rows.splice(index, 1)
  return index >= 0
}

function textAt(source: string, { location: { start, end } }: Mutant): string {
  const lines = source.split('\n').slice(start.line - 1, end.line)
  lines[lines.length - 1] = (lines.at(-1) ?? '').slice(0, end.column - 1)
  lines[0] = (lines[0] ?? '').slice(start.column - 1)
  return lines.join('\n')
}

function line(text: string): string {
  const flat = text.replace(/\s+/g, ' ')
  return flat.length > 120 ? `${flat.slice(0, 119)}…` : flat
}

function score(killed: number, of: number): string {
  return of === 0 ? '   –  ' : `${((100 * killed) / of).toFixed(1).padStart(5)} %`
}

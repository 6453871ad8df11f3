// Runs the official conformance suite's auth scenarios, one by one, through both MCP SDKs, and prints a table.
//   ./dev conformance                     all, and the auth rows of the requirements of 2026-07-28
//   ./dev conformance auth/dpop auth/iss  only scenarios that start so, with the failed checks of each
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { findPackageJSON } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

interface Column {
  title: string
  driver: string
  options: readonly string[]
}

interface Verdict {
  passed: boolean
  failures: string[]
}

const folder = import.meta.dirname
// Only ends a client that hangs: on a busy machine the suite's 30 s are too few.
const clientTimeoutMs = '180000'
const suite = join(dirname(findPackageJSON('@modelcontextprotocol/conformance', import.meta.url) as string), 'dist', 'index.js')
// v1 does not speak the stateless wire of 2026-07-28, so every scenario runs on the one before.
const v1: Column = { title: 'SDK v1', driver: 'client-v1.ts', options: ['--spec-version', '2025-11-25', '--force'] }
const v2: Column = { title: 'SDK v2', driver: 'client-v2.ts', options: [] }
const required: Column = { title: '2026-07-28', driver: 'client-v2.ts', options: ['--spec-version', '2026-07-28', '--force'] }

interface Finished {
  status: number
  output: string
}

function conformance(...args: readonly string[]): Promise<Finished> {
  return new Promise((settle, fail) => {
    // The suite starts the client in a shell: a path with spaces would come apart.
    const child = spawn(process.execPath, ['--disable-warning=DEP0190', suite, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
    })
    child.stderr.on('data', (chunk) => {
      output += chunk
    })
    child.on('error', fail)
    child.on('close', (status) => settle({ status: status ?? 1, output }))
  })
}

/** The names of auth scenarios in what `list` prints. */
async function scenarios(...selection: readonly string[]): Promise<string[]> {
  const { output } = await conformance('list', ...selection)
  return [...output.matchAll(/^\s+- (auth\/\S+)/gm)].map(([, name]) => name as string)
}

async function run(scenario: string, { driver, options }: Column): Promise<Verdict> {
  const results = await mkdtemp(join(tmpdir(), 'mcpauth-conformance-'))
  try {
    const command = `${process.execPath} ${join(folder, driver)}`
    const { status } = await conformance(
      'client',
      '--command',
      command,
      '--scenario',
      scenario,
      ...options,
      '--timeout',
      clientTimeoutMs,
      '-o',
      results
    )
    const checks = await checksIn(results)
    // A scenario that was skipped also ends with 0: only one with checks has been passed.
    const passed = status === 0 && checks.some((check) => check.status === 'SUCCESS') && checks.every((check) => check.status !== 'FAILURE')
    return { passed, failures: passed ? [] : [...explain(checks), ...(await clientErrors(results))] }
  } finally {
    await rm(results, { recursive: true })
  }
}

interface Check {
  id: string
  status: string
  errorMessage?: string
  description?: string
}

async function checksIn(results: string): Promise<Check[]> {
  const files = (await readdir(results, { recursive: true })).filter((name) => name.endsWith('checks.json'))
  const lists = await Promise.all(files.map(async (name) => JSON.parse(await readFile(join(results, name), 'utf8')) as Check[]))
  return lists.flat()
}

function explain(checks: readonly Check[]): string[] {
  return checks
    .filter(({ status }) => status === 'FAILURE')
    .map(({ id, errorMessage, description }) => `${id}: ${errorMessage ?? description}`)
}

/** What the client itself wrote about its end. */
async function clientErrors(results: string): Promise<string[]> {
  const files = (await readdir(results, { recursive: true })).filter((name) => name.endsWith('stderr.txt'))
  const texts = await Promise.all(files.map((name) => readFile(join(results, name), 'utf8')))
  return texts.flatMap((text) => text.trim().split('\n').slice(0, 25)).map((line) => `| ${line}`)
}

function mark(verdict: Verdict | undefined): string {
  return verdict === undefined ? '–' : verdict.passed ? 'pass' : 'FAIL'
}

const prefixes = process.argv.slice(2)
const chosen = (name: string): boolean => prefixes.length === 0 || prefixes.some((prefix) => name.startsWith(prefix))
const all = await scenarios('--client')
const requiredRows = new Set(await scenarios('--requirements', '2026-07-28'))
const rows = all.filter(chosen)
if (all.length !== 33 || requiredRows.size === 0) {
  console.error(
    `the suite lists ${all.length} auth scenarios where 33 were expected, and requires ${requiredRows.size}: look at its version`
  )
  process.exit(2)
}

const columns = [v1, v2, required]
const totals = columns.map(() => ({ passed: 0, ran: 0 }))
const failures: string[] = []
console.log(`${'scenario'.padEnd(44)}${columns.map(({ title }) => title.padEnd(12)).join('')}`)
for (const scenario of rows) {
  const verdicts = await Promise.all(
    columns.map((column) => (column === required && !requiredRows.has(scenario) ? undefined : run(scenario, column)))
  )
  console.log(`${scenario.padEnd(44)}${verdicts.map((verdict) => mark(verdict).padEnd(12)).join('')}`.trimEnd())
  for (const [index, verdict] of verdicts.entries()) {
    const total = totals[index] as { passed: number; ran: number }
    if (!verdict) continue
    total.ran += 1
    if (verdict.passed) total.passed += 1
    else failures.push(`\n${scenario} through ${columns[index]?.title}`, ...verdict.failures.map((line) => `  ${line}`))
  }
}
console.log(`${'passed'.padEnd(44)}${totals.map(({ passed, ran }) => `${passed}/${ran}`.padEnd(12)).join('')}`.trimEnd())
if (failures.length > 0) console.log(failures.join('\n'))
process.exitCode = failures.length === 0 && rows.length > 0 ? 0 : 1

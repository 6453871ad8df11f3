import { parseArgs } from 'node:util'
import { clockJumps, oneDay } from './clocks.ts'
import { comingsAndGoings } from './comings-and-goings.ts'
import { connectionsCut } from './connections-cut.ts'
import { damagedCache } from './damaged-cache.ts'
import type { Goal, Outcome, Scale } from './goal.ts'
import { lostAnswer } from './lost-answer.ts'
import { manyProcesses } from './many-processes.ts'
import { holderKilled, killedAnywhere, stoppedAnywhere } from './strikes.ts'

const usage = `./dev stress [R1 … R9 RC] [--quick] [--processes N] [--expiries N] [--strikes N] [--rounds N] [--fault POINT] [--store file|postgres] [--json]
Real processes on one cache, a strict authorization server as judge. Exit code 1 if a promise is not kept.`

const goals: readonly Goal[] = [
  manyProcesses,
  holderKilled,
  killedAnywhere,
  stoppedAnywhere,
  lostAnswer,
  clockJumps,
  oneDay,
  damagedCache,
  comingsAndGoings,
  connectionsCut
]
/** Small, so that it can run on every change; there counts decide and times are only printed. */
const quick: Scale = { processes: 6, expiries: 6, strikes: 1, staleMs: 150, fault: undefined, rounds: 20, store: 'file', timed: false }
const whole: Scale = {
  processes: 64,
  expiries: 100,
  strikes: 50,
  staleMs: 300,
  fault: undefined,
  rounds: 1_000,
  store: 'file',
  timed: true
}
const quickGoals: readonly string[] = ['R1', 'R2', 'R3', 'R4', 'R5']
/** Those that mean something where lock and write are one transaction. */
const databaseGoals: readonly string[] = ['R1', 'R2', 'R3', 'R5', 'RC']

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    processes: { type: 'string' },
    expiries: { type: 'string' },
    strikes: { type: 'string' },
    rounds: { type: 'string' },
    fault: { type: 'string' },
    store: { type: 'string', default: 'file' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false }
  }
})

if (values.help) {
  console.log(usage)
} else if ((values.store !== 'file' && values.store !== 'postgres') || positionals.some(isUnknown)) {
  console.error(usage)
  process.exitCode = 2
} else {
  process.exitCode = (await runAll()) ? 0 : 1
}

/** A mistyped goal must not pass. */
function isUnknown(wanted: string): boolean {
  return !goals.some(({ name }) => name === wanted)
}

async function runAll(): Promise<boolean> {
  const base = values.quick ? quick : whole
  const scale: Scale = {
    ...base,
    processes: Number(values.processes ?? base.processes),
    expiries: Number(values.expiries ?? base.expiries),
    strikes: Number(values.strikes ?? base.strikes),
    rounds: Number(values.rounds ?? base.rounds),
    fault: values.fault,
    store: values.store === 'postgres' ? 'postgres' : 'file'
  }
  const all =
    scale.store === 'postgres'
      ? databaseGoals
      : values.quick
        ? quickGoals
        : goals.filter((goal) => goal !== connectionsCut).map(({ name }) => name)
  const wanted = positionals.length > 0 ? positionals : all
  let allPassed = true
  for (const goal of goals.filter(({ name }) => wanted.includes(name))) {
    const startedMs = performance.now()
    const outcome = await goal.run(scale).catch(failed)
    allPassed &&= outcome.passed
    print(goal, outcome, (performance.now() - startedMs) / 1000)
  }
  return allPassed
}

function failed(error: unknown): Outcome {
  return { passed: false, figures: { error: (error as Error).message } }
}

function print({ name, promise }: Goal, { passed, figures }: Outcome, seconds: number): void {
  if (values.json) {
    console.log(JSON.stringify({ goal: name, promise, passed, seconds: Math.round(seconds * 10) / 10, ...figures }))
    return
  }
  const facts = Object.entries(figures).map(([fact, value]) => `${fact} ${value}`)
  console.log(`${passed ? 'ok  ' : 'FAIL'} ${name} ${promise} (${seconds.toFixed(1)} s)\n     ${facts.join(', ')}`)
}

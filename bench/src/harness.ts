// Machines are shared and noisy: contenders run in short interleaved rounds of rotating order, and what is reported is the median of the per-round ratios to
// the first contender. A second copy of the first (the A/A row) says how far the figures can be trusted.

/** Something that is measured. */
export interface Contender {
  name: string
  run(): unknown
}

export interface Options {
  rounds?: number
  /** Calls per round and contender. */
  calls?: number
  /** How many calls are in the air at once. */
  concurrency?: number
}

export interface Row {
  name: string
  /** Medians: microseconds of wall clock per call, and the ratios to the first contender. */
  microseconds: number
  wall: number
  cpu: number
}

/** Measures contenders against the first of them. */
export async function compare(
  contenders: readonly Contender[],
  { rounds = 100, calls = 20, concurrency = 1 }: Options = {}
): Promise<Row[]> {
  const [baseline] = contenders
  if (!baseline) return []
  const all = [...contenders, { ...baseline, name: `${baseline.name} (A/A)` }]
  for (const { run } of all) for (let i = 0; i < calls * 3; i++) await run()

  const samples = all.map(() => ({ wall: [] as number[], cpu: [] as number[] }))
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < all.length; i++) {
      const index = (i + round) % all.length
      const { wall, cpu } = await measure((all[index] as Contender).run, calls, concurrency)
      samples[index]?.wall.push(wall)
      samples[index]?.cpu.push(cpu)
    }
  }
  const base = samples[0] as (typeof samples)[number]
  return all.map(({ name }, index) => {
    const own = samples[index] as (typeof samples)[number]
    return {
      name,
      microseconds: (median(own.wall) * 1000) / calls,
      wall: median(own.wall.map((value, round) => value / (base.wall[round] as number))),
      cpu: median(own.cpu.map((value, round) => value / Math.max(base.cpu[round] as number, 1)))
    }
  })
}

async function measure(run: () => unknown, calls: number, concurrency: number): Promise<{ wall: number; cpu: number }> {
  const cpuBefore = process.cpuUsage()
  const before = performance.now()
  for (let done = 0; done < calls; done += concurrency) {
    if (concurrency === 1) await run()
    else await Promise.all(Array.from({ length: Math.min(concurrency, calls - done) }, run))
  }
  const wall = performance.now() - before
  const { user, system } = process.cpuUsage(cpuBefore)
  return { wall, cpu: user + system }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** How far the A/A row may be off before a run says nothing. */
const tolerance = 0.03

/** Prints a table, and says when its figures are void. */
export function print(title: string, rows: readonly Row[]): void {
  console.log(`\n${title}`)
  console.log(`${'wall'.padStart(8)}${'cpu'.padStart(8)}${'µs'.padStart(10)}`)
  for (const { name, wall, cpu, microseconds } of rows) {
    console.log(`${wall.toFixed(2).padStart(8)}${cpu.toFixed(2).padStart(8)}${microseconds.toFixed(1).padStart(10)}  ${name}`)
  }
  const control = rows.at(-1)
  if (control && Math.abs(control.wall - 1) > tolerance) {
    console.log(`  void: the A/A row is off by ${((control.wall - 1) * 100).toFixed(1)} %; the machine is too noisy`)
  }
}

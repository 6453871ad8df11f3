// 100,000 agents on 1,000 hosts, one PostgreSQL: how many refreshes a second, how many connections, how busy. node bench/src/postgres-fleet.ts [--seed N]
// The same seed gives the same figures. The costs are those that `./dev bench postgres` measured; pass others with --read-us, --look-us and --refresh-us.
import { parseArgs } from 'node:util'

interface Costs {
  /** Milliseconds of database work: a read, a look under the row's lock, a refresh. */
  read: number
  look: number
  refresh: number
}

interface Fleet {
  name: string
  agents: number
  hosts: number
  /** Different logins; the agents are dealt to them in turn, host by host. */
  logins: number
  /** Seconds in which all of them got their first tokens. */
  startSpreadSeconds: number
}

const lifetimeSeconds = 3_600
const aheadSeconds = 60
/** Each agent sends a request every so often, at random. */
const meanPauseSeconds = 10
const hoursSimulated = 3

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    'read-us': { type: 'string', default: '820' },
    'look-us': { type: 'string', default: '1500' },
    'refresh-us': { type: 'string', default: '4700' }
  }
})
const costs: Costs = {
  read: Number(values['read-us']) / 1000,
  look: Number(values['look-us']) / 1000,
  refresh: Number(values['refresh-us']) / 1000
}

const fleets: readonly Fleet[] = [
  {
    name: 'a login of its own for each agent, started over an hour',
    agents: 100_000,
    hosts: 1_000,
    logins: 100_000,
    startSpreadSeconds: 3_600
  },
  { name: 'the same, all started within a minute', agents: 100_000, hosts: 1_000, logins: 100_000, startSpreadSeconds: 60 },
  { name: 'a login for each host, a process for each agent', agents: 100_000, hosts: 1_000, logins: 1_000, startSpreadSeconds: 3_600 },
  { name: 'a login for each host, all started within a minute', agents: 100_000, hosts: 1_000, logins: 1_000, startSpreadSeconds: 60 },
  { name: 'one login for everybody', agents: 100_000, hosts: 1_000, logins: 1, startSpreadSeconds: 60 }
]

console.log(
  `tokens live ${lifetimeSeconds} s and are refreshed ${aheadSeconds} s ahead; an agent sends every ${meanPauseSeconds} s on average; the authorization server takes 80 ms in the median, 600 ms in 1 of 100`
)
console.log(
  `a refresh costs the database ${costs.refresh} ms, a read ${costs.read} ms, a look under the lock ${costs.look} ms; ${hoursSimulated} h; seed ${values.seed}\n`
)
for (const fleet of fleets) report(fleet, simulate(fleet, costs, randomFrom(Number(values.seed))))

/** A connection more in a transaction, or one less. */
type Change = [atMs: number, by: 1 | -1]

interface Load {
  refreshes: number
  reads: number
  peakRefreshesPerSecond: number
  peakReadsPerSecond: number
  /** Those who waited for the lock, and had it. */
  looks: number
  /** Connections in use at once. */
  peakConnections: number
  /** The same on the busiest host: what a pool there needs. */
  peakConnectionsOfHost: number
  /** Seconds of database work in the busiest second. */
  peakBusy: number
  /** From an agent's request to its new token, in milliseconds. */
  longestWaitMs: number
}

/**
 * Each login's refresh is the first request after its time has come. Every other agent of that login reads the record at its own next request: most find the new token.
 * Who comes while the refresh is on its way stands in line for the lock, reads again and again, and leaves with the token or when its turn has come.
 */
function simulate({ agents, hosts, logins, startSpreadSeconds }: Fleet, { read, look, refresh }: Costs, random: () => number): Load {
  const members = agents / logins
  const seconds = hoursSimulated * 3_600
  const refreshesIn = new Uint32Array(seconds + 60)
  const readsIn = new Uint32Array(seconds + 60)
  const looksIn = new Uint32Array(seconds + 60)
  const changesOf = Array.from({ length: hosts }, (): Change[] => [])
  let longestWaitMs = 0
  for (let login = 0; login < logins; login += 1) {
    let issuedAt = random() * startSpreadSeconds
    for (;;) {
      const due = issuedAt + lifetimeSeconds - aheadSeconds
      // The soonest of so many random pauses.
      const first = due + exponential(random, meanPauseSeconds / members)
      if (first >= seconds) break
      const done = first * 1000 + refresh + authorizationServerMs(random)
      count(refreshesIn, first)
      changesOf[login % hosts]?.push([first * 1000, 1], [done, -1])
      let freeAt = done
      const arrivals = Array.from({ length: members - 1 }, () => (first + exponential(random, meanPauseSeconds)) * 1000).sort(
        (a, b) => a - b
      )
      for (const [index, arrival] of arrivals.entries()) {
        let gone = arrival + read
        count(readsIn, arrival / 1000)
        if (arrival < done) {
          gone = readsUntil(done, arrival, random, (at) => count(readsIn, at / 1000))
          if (gone > freeAt) {
            // The row is had by one after the other.
            gone = freeAt += look
            count(looksIn, gone / 1000)
          }
        }
        longestWaitMs = Math.max(longestWaitMs, gone - arrival)
        changesOf[(logins === 1 ? index : login) % hosts]?.push([arrival, 1], [gone, -1])
      }
      issuedAt = done / 1000
    }
  }
  const at = (perSecond: Uint32Array, second: number): number => perSecond[second] as number
  const busyIn = Array.from(
    refreshesIn,
    (_, second) => (at(refreshesIn, second) * refresh + at(readsIn, second) * read + at(looksIn, second) * look) / 1000
  )
  return {
    refreshes: total(refreshesIn),
    reads: total(readsIn),
    looks: total(looksIn),
    peakRefreshesPerSecond: Math.max(...refreshesIn),
    peakReadsPerSecond: Math.max(...readsIn),
    peakConnections: mostAtOnce(changesOf.flat()),
    peakConnectionsOfHost: Math.max(...changesOf.map(mostAtOnce)),
    peakBusy: Math.max(...busyIn),
    longestWaitMs
  }
}

/** As oauth/src/adopt-while-waiting.ts does. @returns when the token is found. */
function readsUntil(done: number, arrival: number, random: () => number, onRead: (atMs: number) => void): number {
  let at = arrival
  for (let pauseMs = 20; at < done; pauseMs = Math.min(pauseMs * 1.5, 1_000)) {
    at += pauseMs * (0.5 + random())
    onRead(at)
  }
  return at
}

function total(perSecond: Uint32Array): number {
  return perSecond.reduce((sum, one) => sum + one, 0)
}

function count(perSecond: Uint32Array, atSeconds: number): void {
  const second = Math.floor(atSeconds)
  if (second < perSecond.length) perSecond[second] = (perSecond[second] as number) + 1
}

function mostAtOnce(changes: Change[]): number {
  changes.sort((a, b) => a[0] - b[0] || a[1] - b[1])
  let [now, most] = [0, 0]
  for (const [, by] of changes) {
    now += by
    most = Math.max(most, now)
  }
  return most
}

function report({ name }: Fleet, load: Load): void {
  const seconds = hoursSimulated * 3_600
  console.log(name)
  console.log(`  refreshes   ${(load.refreshes / seconds).toFixed(2)} a second, ${load.peakRefreshesPerSecond} in the busiest`)
  console.log(
    `  reads       ${(load.reads / seconds).toFixed(2)} a second, ${load.peakReadsPerSecond} in the busiest; ${load.looks} had their turn at the lock; longest wait ${load.longestWaitMs.toFixed(0)} ms`
  )
  console.log(`  connections ${load.peakConnections} in use at once, ${load.peakConnectionsOfHost} of the busiest host`)
  console.log(`  database    ${load.peakBusy.toFixed(2)} s of work in the busiest second\n`)
}

function authorizationServerMs(random: () => number): number {
  // Log-normal: median 80 ms, 99 of 100 below 600 ms.
  return 80 * Math.exp(0.866 * normal(random))
}

function exponential(random: () => number, mean: number): number {
  return -Math.log(1 - random()) * mean
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

/** Mulberry32: 32 bits of state are plenty for a load figure, and everybody gets the same. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

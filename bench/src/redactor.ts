import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { createSecretRegistry, type Dispatch, type DispatchHandler, secrets } from '@mcpauth/core'
import { createRedactor, withRedactor } from '@mcpauth/redactor'
import { lintSource } from '@secretlint/core'
import { creator as secretlintRules } from '@secretlint/secretlint-rule-preset-recommend'
import pino from 'pino'
import { median } from './harness.ts'

// Neither has types for ESM.
type PathRedact = (options: { paths: string[]; serialize?: typeof JSON.stringify }) => (value: object) => string
const require = createRequire(import.meta.url)
const fastRedact = require('fast-redact') as PathRedact
const pinojsRedact = require('@pinojs/redact') as PathRedact

const mebibyte = 1024 * 1024
const logBytes = 10 * mebibyte
const secretCount = 1_000
const rounds = 7
// secretlint takes seconds for a mebibyte.
const secretlintBytes = mebibyte / 4

interface LogLine {
  time: string
  level: string
  msg: string
  req: { method: string; url: string; headers: Record<string, string> }
  status: number
  durationMs: number
  password?: string
}

/** Issue E's table: a log of 10 MiB with 1,000 registered secrets, ours beside those that do part of it. */
export async function redactorBench(): Promise<void> {
  const known = Array.from({ length: secretCount }, (_, i) => secretOf(i))
  for (const secret of known) secrets.add(secret, 'bench')
  const log = logOf(known)
  const text = log.map((line) => `${JSON.stringify(line)}\n`).join('')
  const { redactText } = createRedactor()
  if (known.some((secret) => redactText(text).includes(secret))) throw new Error('a secret is left')

  console.log(
    `\nredact a log of ${(text.length / mebibyte).toFixed(1)} MiB, ${secretCount} secrets registered; median of ${rounds} interleaved rounds`
  )
  await compareSpeed([
    { name: 'redactText: every rule', bytes: text.length, run: () => redactText(text) },
    { name: 'redactText: 1,000 secrets, 14 forms each', bytes: text.length, run: () => secrets.redact(text) },
    ...objectContenders(log, text.length),
    { name: "secretlint's recommended rules (1/4 MiB)", bytes: secretlintBytes, run: () => secretlint(text.slice(0, secretlintBytes)) }
  ])
  printLinearity(redactText, text)
  printAdding()
  printLayer()
}

function secretOf(i: number): string {
  return i % 2 === 0 ? randomBytes(24).toString('base64') : `eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.${randomBytes(180).toString('base64url')}`
}

function logOf(known: readonly string[]): LogLine[] {
  const lines: LogLine[] = []
  for (let bytes = 0, i = 0; bytes < logBytes; i++) {
    const line: LogLine = {
      time: new Date(1_700_000_000_000 + i * 13).toISOString(),
      level: 'info',
      msg: 'tools/call answered by the server, and the result was handed on',
      req: {
        method: 'POST',
        url: `https://mcp.example.com/mcp?session=${i}&page=${i % 7}`,
        headers: { accept: 'application/json, text/event-stream', 'mcp-protocol-version': '2025-11-25', 'user-agent': 'agent/1.0' }
      },
      status: 200,
      durationMs: i % 200
    }
    if (i % 20 === 0) line.req.headers.authorization = `Bearer ${known[i % known.length]}`
    if (i % 100 === 0) line.password = 'hunter2'
    lines.push(line)
    bytes += JSON.stringify(line).length + 1
  }
  return lines
}

interface SpeedContender {
  name: string
  bytes: number
  run(): unknown
}

/** They take objects whose secret paths are known beforehand, and look at nothing else. Their time includes writing the JSON. */
function objectContenders(log: readonly LogLine[], bytes: number): SpeedContender[] {
  const paths = ['req.headers.authorization', 'password']
  const fast = fastRedact({ paths, serialize: JSON.stringify })
  const slow = pinojsRedact({ paths, serialize: JSON.stringify })
  const logger = pino({ redact: { paths }, base: null, timestamp: false }, { write: () => {} })
  const each = (redact: (line: LogLine) => unknown) => () => {
    for (const line of log) redact(line)
  }
  return [
    { name: 'fast-redact: two known paths', bytes, run: each(fast) },
    { name: '@pinojs/redact: two known paths', bytes, run: each(slow) },
    { name: "pino's redact: two known paths", bytes, run: each((line) => logger.info(line)) }
  ]
}

function secretlint(content: string): Promise<unknown> {
  const config = { rules: [{ id: '@secretlint/secretlint-rule-preset-recommend', rule: secretlintRules }] }
  const source = { filePath: '/bench.log', content, ext: '.log', contentType: 'text' as const }
  return lintSource({ source, options: { config: config as never, maskSecrets: true } })
}

async function compareSpeed(contenders: readonly SpeedContender[]): Promise<void> {
  const samples = contenders.map(() => ({ wall: [] as number[], cpu: [] as number[] }))
  for (let round = -1; round < rounds; round++) {
    for (let i = 0; i < contenders.length; i++) {
      const index = (i + round + contenders.length) % contenders.length
      const { bytes, run } = contenders[index] as SpeedContender
      const cpu = process.cpuUsage()
      const start = performance.now()
      await run()
      const wall = performance.now() - start
      const { user, system } = process.cpuUsage(cpu)
      // The first round warms up.
      if (round < 0) continue
      samples[index]?.wall.push(bytes / mebibyte / (wall / 1_000))
      samples[index]?.cpu.push(bytes / mebibyte / ((user + system) / 1_000_000))
    }
  }
  console.log(`${'MiB/s'.padStart(9)}${'per CPU s'.padStart(11)}`)
  contenders.forEach(({ name }, i) => {
    const { wall, cpu } = samples[i] as (typeof samples)[number]
    console.log(`${median(wall).toFixed(1).padStart(9)}${median(cpu).toFixed(1).padStart(11)}  ${name}`)
  })
}

function printLinearity(redactText: (text: string) => string, text: string): void {
  console.log('\nlinear in the length of the log')
  for (const part of [1, 2, 5, 10]) {
    const piece = text.slice(0, part * mebibyte)
    const times = Array.from({ length: rounds }, () => timed(() => redactText(piece)))
    console.log(`${(part / (Math.min(...times) / 1_000)).toFixed(1).padStart(9)} MiB/s at ${part} MiB`)
  }
}

function printAdding(): void {
  console.log('\nadding a secret (median of 100 registries)')
  const times: number[][] = [[], [], []]
  for (let i = 0; i < 100; i++) {
    const registry = createSecretRegistry()
    const marks = [0, 499, 999]
    for (let n = 0; n < 1_000; n++) {
      const secret = secretOf(0)
      const took = timed(() => registry.add(secret))
      const mark = marks.indexOf(n)
      if (mark !== -1) times[mark]?.push(took * 1_000)
    }
  }
  for (const [i, name] of ['the first', 'the 500th', 'the 1,000th'].entries())
    console.log(
      `${median(times[i] as number[])
        .toFixed(1)
        .padStart(9)} µs  ${name}`
    )
}

function printLayer(): void {
  const answer = {
    'content-type': 'application/json',
    date: 'Fri, 20 Nov 2026 18:00:00 GMT',
    connection: 'keep-alive',
    'transfer-encoding': 'chunked'
  }
  const chunk = Buffer.alloc(300)
  const end: Dispatch = (_options, handler) => {
    handler.onResponseStart?.({} as never, 200, answer, 'OK')
    handler.onResponseData?.({} as never, chunk)
    handler.onResponseEnd?.({} as never, {})
    return true
  }
  const handler: DispatchHandler = {
    onRequestStart: () => {},
    onResponseStart: () => {},
    onResponseData: () => {},
    onResponseEnd: () => {}
  }
  const headers = {
    authorization: `Bearer ${secretOf(0)}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream'
  }
  const request = { origin: 'https://mcp.example.com', path: '/mcp', method: 'POST', headers, body: chunk }
  const layered = withRedactor('https://mcp.example.com/mcp', { log: () => {} })(end)
  const perCall = (dispatch: Dispatch): number => {
    const calls = 2_000
    const samples = Array.from({ length: 30 }, () =>
      timed(() => {
        for (let i = 0; i < calls; i++) dispatch(request, handler)
      })
    )
    return (median(samples) * 1_000) / calls
  }
  perCall(layered)
  console.log(`\n${(perCall(layered) - perCall(end)).toFixed(1).padStart(9)} µs per request added by withRedactor, headers only`)
}

function timed(run: () => unknown): number {
  const start = performance.now()
  run()
  return performance.now() - start
}

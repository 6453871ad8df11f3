import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { secrets } from '@mcpauth/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRedactor } from '../src/index.ts'

const redactor = createRedactor()
const secret = 'canary-of-the-stream-tests'
secrets.add(secret)
const key = `-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nq83v\n-----END PRIVATE KEY-----`

async function through(chunks: ReadonlyArray<string | Uint8Array>): Promise<string> {
  const stream = redactor.stream()
  const result = text(stream)
  for (const chunk of chunks) stream.write(chunk)
  stream.end()
  return result
}

test('T13: a secret is found wherever the chunks are cut, also through a character', async () => {
  const log = `é one ${secret}\ntwo 漢 password=${'abc'.repeat(3)} é\n${key}\nlast ${secret}`
  const bytes = Buffer.from(log)
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 12 }), async (cuts) => {
      const places = [0, ...cuts.sort((a, b) => a - b), bytes.length]
      const chunks = places.slice(1).map((end, i) => bytes.subarray(places[i], end))
      expect(await through(chunks)).toBe(redactor.redactText(log))
    })
  )
  expect(redactor.redactText(log)).not.toMatch(/canary|abcabc|q83v/)
})

test('T13: a secret is found at every single place where a log can be cut in two', async () => {
  const log = `é one ${secret}\ntwo 漢 password=abcabc\n${key}\n`
  const bytes = Buffer.from(log)
  const whole = redactor.redactText(log)
  for (let cut = 0; cut <= bytes.length; cut++) expect(await through([bytes.subarray(0, cut), bytes.subarray(cut)]), `${cut}`).toBe(whole)
  for (let cut = 0; cut <= log.length; cut++) expect(await through([log.slice(0, cut), log.slice(cut)]), `${cut}`).toBe(whole)
  expect(await through(Array.from(bytes, (byte) => Buffer.from([byte])))).toBe(whole)
})

test('a line is written as soon as it is complete', async () => {
  const stream = redactor.stream()
  stream.write('first\nsecond')
  const [chunk] = await once(stream, 'data')
  expect(String(chunk)).toBe('first\n')
  stream.destroy()
})

test('T13: a line without an end is written in parts, and no secret is cut', async () => {
  const words = Array.from({ length: 60_000 }, (_, i) => (i % 50 === 0 ? secret : `word${i % 7}-of-an-endless-line`))
  const line = words.join(' ')
  const chunks = line.match(/[\s\S]{1,70000}/g) as string[]
  const stream = redactor.stream()
  const written: string[] = []
  stream.on('data', (chunk: Buffer) => written.push(String(chunk)))
  for (const chunk of chunks) stream.write(chunk)
  stream.end()
  await once(stream, 'end')
  expect(written.length).toBeGreaterThan(1)
  expect(written.join('')).toBe(words.map((word) => (word === secret ? '[REDACTED]' : word)).join(' '))
})

test('a private key that never ends does not hold the log back for ever', async () => {
  const out = await through([`-----BEGIN PRIVATE KEY-----\n`, 'plain line of a log, again and again\n'.repeat(4_000)])
  expect(out).toContain('plain line of a log')
})

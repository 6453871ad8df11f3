import { describe, expect, test } from 'vitest'
import { type DispatchOptions, knownBytes, readBytes, replayableRequest, withBody } from '../src/index.ts'

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString()
const requestWith = (body: unknown, length?: number): DispatchOptions => ({
  path: '/',
  method: 'POST',
  body,
  headers: length === undefined ? {} : { 'Content-Length': String(length) }
})

async function* generated(...chunks: unknown[]): AsyncGenerator<unknown> {
  yield* chunks
}

const wide = new TextEncoder().encode('<bytes>')
const known: Array<[string, unknown, string]> = [
  ['nothing', undefined, ''],
  ['null', null, ''],
  ['a string', 'b\u00fctes', 'b\u00fctes'],
  ['bytes', wide.subarray(1, 6), 'bytes'],
  ['an ArrayBuffer', wide.slice(1, 6).buffer, 'bytes'],
  ['a view that is a part', new DataView(wide.buffer, 1, 5), 'bytes']
]
const unknownBodies: Array<[string, () => unknown]> = [
  ['a stream', () => new Blob(['x']).stream()],
  ['a generator', () => generated('x')],
  ['a Blob', () => new Blob(['x'])],
  ['an iterable', () => ['x']]
]

test.each(known)('the bytes of %s are known', (_what, body, bytes) => {
  expect(text(knownBytes(body))).toBe(bytes)
})

test.each(unknownBodies)('the bytes of %s are not known before it is read', (_what, body) => {
  expect(knownBytes(body())).toBeUndefined()
})

describe('reading a body', () => {
  test.each([
    ...known.map(([what, body, bytes]) => [what, () => body, bytes] as const),
    ...unknownBodies.map(([what, body]) => [what, body, 'x'] as const)
  ])('gives the bytes of %s', async (_what, body, bytes) => {
    expect(text(await readBytes(body(), 100))).toBe(bytes)
  })

  test('joins the pieces, of whatever kind, and passes over what has no bytes', async () => {
    expect(text(await readBytes(generated('a', new Uint8Array([98]), {}, 'c'), 100))).toBe('abc')
  })

  test('stops at the bound: all of it may be read, and not a byte more', async () => {
    expect(text(await readBytes(generated('ab', 'cd'), 4))).toBe('abcd')
    let pulled = 0
    async function* endless(): AsyncGenerator<string> {
      for (;;) {
        pulled += 1
        yield 'ab'
      }
    }
    await expect(readBytes(endless(), 5)).rejects.toMatchObject({ code: 'MCPAUTH_BODY_TOO_LARGE' })
    expect(pulled).toBe(3)
    await expect(readBytes('abc', 2)).rejects.toMatchObject({ code: 'MCPAUTH_BODY_TOO_LARGE' })
  })

  test('FormData has no bytes of its own: a typed error', async () => {
    await expect(readBytes(new FormData(), 100)).rejects.toMatchObject({ code: 'MCPAUTH_BODY_NOT_REPLAYABLE' })
  })
})

describe('T21: a request that is to be sent again', () => {
  const reusable: Array<[string, unknown]> = [
    ...known.map(([what, body]): [string, unknown] => [what, body]),
    ['a Blob', new Blob(['x'])],
    ['a File', new File(['x'], 'f')],
    ['FormData', new FormData()]
  ]
  test.each(reusable)('is itself when its body is %s', (_what, body) => {
    const options = requestWith(body)
    const request = replayableRequest(options)
    expect([request.options, request.again()]).toEqual([options, options])
    expect(request.options).toBe(options)
  })

  test.each<[string, unknown, number | undefined]>([
    ['a stream, whatever length it says', new Blob(['abc']).stream(), 3],
    ['an iterable that is no generator', { [Symbol.asyncIterator]: () => generated('abc') }, 3],
    ['an iterator that cannot be iterated', { next: () => ({ done: true }) }, 3],
    ['a generator of unknown length', generated('abc'), undefined],
    ['a generator of more than 1 MiB', generated('abc'), 1024 * 1024 + 1]
  ])('is sent once when its body is %s', (_what, body, length) => {
    const options = requestWith(body, length)
    const request = replayableRequest(options)
    expect(request.options).toBe(options)
    expect(request.again()).toBeUndefined()
  })

  test('keeps what a generator gave while it was sent, copied, and gives it again as often as needed', async () => {
    const chunk = Buffer.from('abc')
    const request = replayableRequest(requestWith(generated(chunk, 'de', {}), 5))
    const sent: unknown[] = []
    for await (const piece of request.options.body) sent.push(piece)
    expect(sent).toEqual([chunk, 'de', {}])
    chunk.fill(0)
    for (const again of [request.again(), request.again()]) {
      expect(text(again?.body)).toBe('abcde')
      expect(again).toMatchObject({ path: '/', headers: { 'Content-Length': '5' } })
    }
  })

  test('is not sent again when its generator was not read to the end, or gave another length than it said', async () => {
    const half = replayableRequest(requestWith(generated('ab', 'c'), 3))
    expect(half.again()).toBeUndefined()
    for await (const _ of half.options.body) break
    expect(half.again()).toBeUndefined()
    const shorter = replayableRequest(requestWith(generated('ab'), 3))
    for await (const _ of shorter.options.body);
    expect(shorter.again()).toBeUndefined()
  })

  test('a megabyte is still kept', async () => {
    const request = replayableRequest(requestWith(generated('x'.repeat(1024 * 1024)), 1024 * 1024))
    for await (const _ of request.options.body);
    expect(request.again()?.body.byteLength).toBe(1024 * 1024)
  })
})

test("another body takes the first one's place, also where undici 8's fetch keeps a second reference", () => {
  const options = { path: '/', method: 'POST', body: 'a' }
  expect(withBody(options, 'b')).toEqual({ path: '/', method: 'POST', body: 'b' })
  expect(withBody({ ...options, __mockAgentBodyForDispatch: 'a' }, 'b')).toMatchObject({ body: 'b', __mockAgentBodyForDispatch: 'b' })
  expect(options.body).toBe('a')
})

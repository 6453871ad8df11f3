import { execFileSync } from 'node:child_process'
import { inspect } from 'node:util'
import { Response as UndiciResponse, fetch as undiciFetch } from 'undici'
import { expect, test } from 'vitest'
import { globalResponse } from '../src/global-response.ts'

const source = new URL('../src/global-response.ts', import.meta.url).href

/** What a program of its own says, where nobody has touched the global classes yet. `answer` is a bridged one with the body `{"a":1}`. */
function freshProgram(code: string): unknown {
  const program = `
    const { fetch: undiciFetch } = await import(${JSON.stringify(import.meta.resolve('undici'))})
    const { globalResponse } = await import(${JSON.stringify(source)})
    const loaded = () => process.moduleLoadList.includes('NativeModule internal/deps/undici/undici')
    const answer = globalResponse(await undiciFetch('data:application/json,{"a":1}'))
    console.log(JSON.stringify(await (async () => { ${code} })()))`
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' }))
}

async function answer(): Promise<Response> {
  return globalResponse((await undiciFetch('data:application/json,{"a":1}')) as unknown as Response)
}

/** An answer of undici's own class beside the one that stands for it. */
function bridged(body: string, init?: ResponseInit): { theirs: Response; mine: Response } {
  const theirs = new UndiciResponse(body, init as never) as unknown as Response
  return { theirs, mine: globalResponse(theirs) }
}

async function all(chunks: AsyncIterable<string>): Promise<string[]> {
  const read: string[] = []
  for await (const chunk of chunks) read.push(chunk)
  return read
}

test('an answer is used to its end without loading the global Response and Headers', () => {
  const used = `
    const { status, ok, statusText, url, redirected, type, bodyUsed } = answer
    const copy = await answer.clone()
    return [status, answer.headers.get('content-type'), [...answer.headers], await copy.json(), await answer.text(),
      loaded(), [answer instanceof Response, loaded()]]`
  expect(freshProgram(used)).toEqual([
    200,
    'application/json',
    [['content-type', 'application/json']],
    { a: 1 },
    '{"a":1}',
    false,
    [true, true]
  ])
})

test.each<[question: string, answer: unknown]>([
  ['answer instanceof Response', true],
  ['answer.headers instanceof Headers', true],
  ['Response.prototype.isPrototypeOf(answer)', true],
  ['answer instanceof Request', false],
  ['Object.prototype.toString.call(answer) + Object.prototype.toString.call(answer.headers)', '[object Response][object Headers]'],
  ['await new Response(answer.body, answer).json()', { a: 1 }],
  ['new Response(answer.body, answer).headers.get("content-type")', 'application/json'],
  ['[...new Headers(answer.headers)]', [['content-type', 'application/json']]],
  ['answer.hasOwnProperty("status")', false],
  ['"then" in answer', false]
])('the first question about an answer is answered: %s', (question, expected) => {
  expect(freshProgram(`return ${question}`)).toEqual(expected)
})

test('an answer that came before the global class was touched is one of it afterwards, and so are its copies', async () => {
  const early = await answer()
  expect([early instanceof Response, early.clone() instanceof Response]).toEqual([true, true])
  expect(Object.getPrototypeOf(Object.getPrototypeOf(early))).toBe(Response.prototype)
})

test('a member that someone has added to the global class is found', () => {
  expect(freshProgram('Response.prototype.added = function () { return this.status }; return answer.added()')).toBe(200)
})

test('an answer is printed and refuses to be cloned like any other', async () => {
  const mine = await answer()
  expect(inspect(mine)).toMatch(/^Response \{\s+status: 200/)
  expect(inspect(mine.headers)).toMatch(/^Headers \{/)
  expect(() => structuredClone(mine)).toThrow(/clone/i)
  expect(() => structuredClone(mine.headers)).toThrow(/clone/i)
})

test.each<[member: keyof Response, expected: unknown]>([
  ['status', 200],
  ['statusText', 'OK'],
  ['ok', true],
  ['url', 'data:application/json,{"a":1}'],
  ['redirected', false],
  ['type', 'basic'],
  ['bodyUsed', false]
])('an answer has the %s of the one it stands for', async (member, expected) => {
  expect((await answer())[member]).toBe(expected)
})

test.each<[member: string, read: (answer: Response) => Promise<unknown>, expected: unknown]>([
  ['arrayBuffer', async (mine) => Buffer.from(await mine.arrayBuffer()).toString(), 'a=1'],
  ['blob', async (mine) => (await mine.blob()).text(), 'a=1'],
  ['bytes', async (mine) => Buffer.from(await mine.bytes()).toString(), 'a=1'],
  ['formData', async (mine) => [...(await mine.formData())], [['a', '1']]],
  ['text', (mine) => mine.text(), 'a=1'],
  ['body', async (mine) => (await all(mine.body as never)).map((chunk) => Buffer.from(chunk).toString()), ['a=1']],
  ['textStream', (mine) => all((mine as never as { textStream(): AsyncIterable<string> }).textStream()), ['a=1']]
])('an answer is read with %s, and is used up then as the one it stands for', async (_member, read, expected) => {
  const { theirs, mine } = bridged('a=1', { headers: { 'content-type': 'application/x-www-form-urlencoded' } })
  expect(await read(mine)).toEqual(expected)
  expect([theirs.bodyUsed, mine.bodyUsed]).toEqual([true, true])
})

test('an answer is read as JSON, and its copy once more', async () => {
  const { mine } = bridged('{"a":1}')
  const copy = mine.clone()
  expect([await mine.json(), copy.bodyUsed, await copy.json()]).toEqual([{ a: 1 }, false, { a: 1 }])
})

test('an answer of undici 7, which knows no textStream, has none', () => {
  const { theirs, mine } = bridged('a')
  Object.defineProperty(theirs, 'textStream', { value: undefined })
  expect((mine as { textStream?: unknown }).textStream).toBeUndefined()
})

test('the headers of an answer are asked and walked through like any other', () => {
  const pairs: Array<[string, string]> = [
    ['a', '1'],
    ['set-cookie', 'c=1'],
    ['set-cookie', 'd=2']
  ]
  const { headers } = bridged('', { headers: [...pairs] }).mine
  headers.delete('content-type')
  expect([headers.get('A'), headers.get('b'), headers.has('A'), headers.has('b')]).toEqual(['1', null, true, false])
  expect(headers.getSetCookie()).toEqual(['c=1', 'd=2'])
  expect([[...headers], [...headers.entries()]]).toEqual([pairs, pairs])
  expect([[...headers.keys()], [...headers.values()]]).toEqual([pairs.map(([name]) => name), pairs.map(([, value]) => value)])
  const walked: unknown[] = []
  const self = {}
  headers.forEach(function (this: unknown, value, name, all) {
    walked.push([name, value, all === headers, this === self])
  }, self)
  expect(walked).toEqual(pairs.map(([name, value]) => [name, value, true, true]))
})

test('the headers of an answer are changed in the answer it stands for', () => {
  const { theirs, mine } = bridged('', { headers: { a: '1', b: '2' } })
  mine.headers.append('a', 'one')
  mine.headers.set('c', '3')
  mine.headers.delete('b')
  expect(Object.fromEntries(theirs.headers)).toMatchObject({ a: '1, one', c: '3' })
  expect(theirs.headers.has('b')).toBe(false)
})

test('an answer and its headers go by the names of the global classes', () => {
  const { mine } = bridged('')
  expect([mine, mine.headers].map((value) => Object.prototype.toString.call(value))).toEqual(['[object Response]', '[object Headers]'])
})

test('every member of the global classes is handed on', async () => {
  const mine = await answer()
  for (const [value, prototype] of [
    [mine, Response.prototype],
    [mine.headers, Headers.prototype]
  ] as const) {
    // Node 22 keeps a symbol of its own there.
    const members = Reflect.ownKeys(prototype).filter((name) => name !== 'constructor' && String(name) !== 'Symbol(headers map sorted)')
    expect(Reflect.ownKeys(Object.getPrototypeOf(value))).toEqual(expect.arrayContaining(members))
  }
})

import { execFileSync } from 'node:child_process'
import { inspect } from 'node:util'
import { fetch as undiciFetch } from 'undici'
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

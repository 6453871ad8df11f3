import { getEventListeners } from 'node:events'
import { PassThrough } from 'node:stream'
import { secrets } from '@mcpauth/core'
import { expect, onTestFinished, test, vi } from 'vitest'
import { parsePastedRedirect, readPastedRedirect } from '../src/pasted-redirect.ts'

const redirectUri = 'http://127.0.0.1:4711/callback'
const good = `${redirectUri}?code=the-pasted-code&state=s`

function prompting(input: PassThrough = new PassThrough()) {
  const giving = new AbortController()
  const lines: string[] = []
  const answer = readPastedRedirect({ redirectUri, state: 's', input, print: (line) => lines.push(line), signal: giving.signal })
  return { input, lines, answer, giving, listeners: () => getEventListeners(giving.signal, 'abort').length + input.listenerCount('data') }
}

/** What is typed there is echoed to standard error. */
function terminal(): PassThrough & { echoed: () => string } {
  const echo = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  onTestFinished(() => echo.mockRestore())
  return Object.assign(new PassThrough(), { isTTY: true, echoed: () => echo.mock.calls.map(([text]) => text).join('') })
}

test.each([
  `  ${good}\t`,
  `"${good}"`,
  `'${good}'`,
  `<${good}>`,
  `"'<${good}>'"`,
  `\u001b[200~${good}\u001b[201~`,
  good.replace('http:', 'HTTP:')
])('an address is taken with what people and terminals put around it: %j', (line) => {
  expect(Object.fromEntries(parsePastedRedirect(line, redirectUri, 's') as URLSearchParams)).toEqual({
    code: 'the-pasted-code',
    state: 's'
  })
})

test('quotes inside an address are part of it', () => {
  const answer = parsePastedRedirect(`${redirectUri}?code=a"<b>'c&state=s`, redirectUri, 's') as URLSearchParams
  expect(answer.get('code')).toBe(`a"<b>'c`)
})

test.each(['', '   ', '""', '\u001b[200~\u001b[201~'])('an empty line says nothing: %j', (line) => {
  expect(parsePastedRedirect(line, redirectUri, 's')).toBe('')
})

test.each([
  ['SplxlOBeZQQYbYS6WxSbIA', /^Please paste the whole address/],
  [`see ${good}`, /^Please paste the whole address/],
  ['ftp://127.0.0.1:4711/callback?code=c&state=s', /^Please paste the whole address/],
  ['http://[', /^That is not the address/],
  [good.replace('4711', '4712'), /^That is not the address/],
  [good.replace('http:', 'https:'), /^That is not the address/],
  [good.replace('/callback', '/'), /^That is not the address/],
  [`${redirectUri}?code=c`, /^That address belongs to another login/],
  [`${good}&state=s`, /^That address belongs to another login/],
  [`${redirectUri}?state=s`, /^That address holds no answer/],
  [`${good}&error=access_denied`, /^That address holds no answer/],
  [`${good}&code=d`, /^That address holds no answer/]
])('N32: %j is answered with a sentence', (line, sentence) => {
  expect(parsePastedRedirect(line, redirectUri, 's')).toMatch(sentence)
})

test('T13: a pasted code is a secret from then on', () => {
  parsePastedRedirect(`${redirectUri}?code=the-code-that-was-pasted&state=s`, redirectUri, 's')
  expect(secrets.redact('the-code-that-was-pasted')).toBe('[REDACTED:authorization code]')
})

test('what is no answer is told, an empty line is not, and the answer leaves nothing behind', async () => {
  const { input, lines, answer, listeners } = prompting()
  input.write(`\nthe-code\n${good}\nmore\n`)
  expect(((await answer) as URLSearchParams).get('code')).toBe('the-pasted-code')
  expect(lines).toEqual([expect.stringMatching(/^Please paste/)])
  expect(listeners()).toBe(0)
})

test('an input that ends means that nothing will be pasted', async () => {
  const { input, answer, listeners } = prompting()
  input.end('no answer\n')
  expect(await answer).toBeUndefined()
  expect(listeners()).toBe(0)
})

test('whoever gives up gets the reason, and the input is left alone', async () => {
  const { answer, giving, listeners } = prompting()
  giving.abort(new Error('the listener was first'))
  await expect(answer).rejects.toThrow('the listener was first')
  expect(listeners()).toBe(0)
  const input = new PassThrough()
  const signal = AbortSignal.abort(new Error('too late'))
  await expect(readPastedRedirect({ redirectUri, state: 's', input, print: () => undefined, signal })).rejects.toThrow('too late')
  expect(input.listenerCount('data')).toBe(0)
})

test('Ctrl-C in a terminal cancels the login', async () => {
  const { input, answer, giving } = prompting(terminal())
  input.write('\u0003')
  await expect(answer).rejects.toMatchObject({ code: 'MCPAUTH_LOGIN_FAILED', message: 'the login was cancelled' })
  expect(getEventListeners(giving.signal, 'abort')).toHaveLength(0)
  expect(input.isPaused()).toBe(true)
})

test('an address longer than the line of a terminal is read whole', async () => {
  const { input, answer } = prompting(terminal())
  input.write(`${redirectUri}?code=${'c'.repeat(6_000)}&state=s\r`)
  expect(((await answer) as URLSearchParams).get('code')).toHaveLength(6_000)
})

test('what is typed into a terminal is seen there', async () => {
  const input = terminal()
  const { answer } = prompting(input)
  input.write(`${good}\r`)
  await answer
  expect(input.echoed()).toContain(good)
})

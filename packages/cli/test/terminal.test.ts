import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { McpAuthError, secrets } from '@mcpauth/core'
import { expect, test, vi } from 'vitest'
import { processTerminal, report, type Terminal } from '../src/terminal.ts'

const vectors = resolve(process.env.MCPAUTH_VECTORS ?? '../shared/vectors', 'hostile/terminal.json')

/** Everything but printable characters, and what would reorder or hide them. */
const steering = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/

/** What a terminal of this process would write. */
function written(work: (terminal: Terminal) => void): string {
  const chunks: string[] = []
  const spies = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, 'write').mockImplementation((chunk) => {
      chunks.push(String(chunk))
      return true
    })
  )
  try {
    work(processTerminal({}))
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
  return chunks.join('')
}

test.skipIf(!existsSync(vectors))(
  'T14: what a server says never steers the terminal: one line each, no escape, in answers, notes and errors',
  () => {
    const corpus: string[] = JSON.parse(readFileSync(vectors, 'utf8'))
    for (const hostile of corpus) {
      const text = written((terminal) => {
        terminal.answer(`answer ${hostile}`)
        terminal.tell(`  note ${hostile}`)
        report(
          new McpAuthError('MCPAUTH_LOGIN_FAILED', `message ${hostile}`, { hint: `hint ${hostile}` }),
          terminal,
          `https://mcp.example.com/${hostile}`
        )
        report(new Error(hostile), terminal)
      })
      expect(text).not.toMatch(steering)
      expect(text.match(/\n/g)).toHaveLength(8)
    }
  }
)

test('T13: a secret that is known does not reach the terminal', () => {
  secrets.add('canary-of-the-terminal', 'token')
  const text = written((terminal) => {
    terminal.answer('it is canary-of-the-terminal')
    report(new Error('it is canary-of-the-terminal'), terminal)
  })
  expect(text).toContain('it is [REDACTED:token]')
  expect(text).not.toContain('canary')
})

test('an error says what happened, to which server, what to run, and its code', () => {
  const error = new McpAuthError('MCPAUTH_LOGIN_REQUIRED', 'mcp.example.com needs a login', {
    hint: 'run: mcpauth login https://mcp.example.com/mcp'
  })
  expect(written((terminal) => expect(report(error, terminal, 'https://mcp.example.com/mcp')).toBe(3))).toBe(
    [
      'mcpauth: mcp.example.com needs a login',
      '  server: https://mcp.example.com/mcp',
      '  next: run: mcpauth login https://mcp.example.com/mcp',
      '  code: MCPAUTH_LOGIN_REQUIRED',
      ''
    ].join('\n')
  )
})

test('the server in an error is named without user name, password and query', () => {
  const error = new McpAuthError('MCPAUTH_NETWORK', 'no answer')
  const text = written((terminal) =>
    expect(report(error, terminal, 'https://me:hunter2hunter2@mcp.example.com/mcp?key=hunter2hunter2')).toBe(1)
  )
  expect(text).toContain('server: https://mcp.example.com/mcp\n')
  expect(text).not.toContain('hunter2')
})

test.each([
  ['MCPAUTH_LOGIN_REQUIRED', 3],
  ['MCPAUTH_LOGIN_PENDING', 3],
  ['MCPAUTH_STEP_UP_REQUIRED', 3],
  ['MCPAUTH_LOGIN_FAILED', 1],
  ['MCPAUTH_INVALID_OPTION', 2]
] as const)('%s ends with %i', (code, exit) => {
  written((terminal) => expect(report(new McpAuthError(code, 'x'), terminal)).toBe(exit))
})

test('T20: in CI and without a terminal nobody is there', () => {
  expect(processTerminal({ CI: 'true' }).interactive).toBe(false)
  vi.stubGlobal('process', { ...process, stdin: { isTTY: true }, stderr: { isTTY: true, write: () => true }, stdout: process.stdout })
  try {
    expect(processTerminal({}).interactive).toBe(true)
    expect(processTerminal({ CI: 'false' }).interactive).toBe(true)
    expect(processTerminal({ CI: '1' }).interactive).toBe(false)
  } finally {
    vi.unstubAllGlobals()
  }
})

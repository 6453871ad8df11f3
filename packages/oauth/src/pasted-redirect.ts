import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { McpAuthError, secrets } from '@mcpauth/core'
import { sameState } from './login-state.ts'

/** For {@link readPastedRedirect}. */
export interface PastePrompt {
  readonly redirectUri: string
  readonly state: string
  readonly input: Readable
  readonly print: (line: string) => void
  readonly signal: AbortSignal
}

/**
 * Reads lines until one is the redirect of this login.
 *
 * @returns undefined when the input ended: nothing will be pasted any more, but the browser may still come back.
 * @throws `MCPAUTH_LOGIN_FAILED` the person pressed Ctrl-C.
 */
export function readPastedRedirect({ redirectUri, state, input, print, signal }: PastePrompt): Promise<URLSearchParams | undefined> {
  return new Promise((settle, fail) => {
    const terminal = (input as { isTTY?: boolean }).isTTY === true
    // A terminal in its line mode cuts lines at 4,096 characters, shorter than some redirects: readline's own mode does not.
    const lines = createInterface({ input, ...(terminal ? { output: process.stderr as Writable } : {}), terminal, historySize: 0 })
    const end = (then: () => void): void => {
      signal.removeEventListener('abort', aborted)
      // What came in one piece with the answer is nobody's any more.
      lines.off('line', read).off('close', ended)
      lines.close()
      then()
    }
    const aborted = (): void => end(() => fail(signal.reason))
    const ended = (): void => end(() => settle(undefined))
    const cancelled = (): void =>
      end(() => fail(new McpAuthError('MCPAUTH_LOGIN_FAILED', 'the login was cancelled', { hint: 'log in again when you are ready' })))
    const read = (line: string): void => {
      const answer = parsePastedRedirect(line, redirectUri, state)
      if (typeof answer !== 'string') end(() => settle(answer))
      else if (answer !== '') print(answer)
    }
    if (signal.aborted) return aborted()
    signal.addEventListener('abort', aborted)
    lines.on('SIGINT', cancelled)
    lines.on('close', ended)
    lines.on('line', read)
  })
}

/** The parameters of a pasted redirect, or the sentence that says why it is not one; the empty string for an empty line. */
export function parsePastedRedirect(line: string, redirectUri: string, state: string): URLSearchParams | string {
  // Terminals wrap what is pasted; people copy quotes and spaces along.
  const text = line
    .replace(/\u001b\[20[01]~/g, '')
    .trim()
    .replace(/^["'<]+|["'>]+$/g, '')
  if (text === '') return ''
  if (!/^https?:\/\//i.test(text))
    return 'Please paste the whole address, starting with http://. A code alone is not accepted: nothing in it says that it is yours.'
  const expected = new URL(redirectUri)
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.origin !== expected.origin || url.pathname !== expected.pathname) {
    return `That is not the address that the login ends at. It starts with ${redirectUri}?`
  }
  const given = url.searchParams
  const states = given.getAll('state')
  if (states.length !== 1 || !sameState(state, states[0] as string))
    return 'That address belongs to another login. Please open the address above and log in there.'
  if (given.getAll('code').length + given.getAll('error').length !== 1) return 'That address holds no answer. Please copy all of it.'
  const code = given.get('code')
  if (code) secrets.add(code, 'authorization code')
  return given
}

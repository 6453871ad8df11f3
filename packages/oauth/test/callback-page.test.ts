import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { type CallbackPage, callbackPage, contentSecurityPolicy } from '../src/callback-page.ts'

/** What a person reads, a line each. */
function read(page: CallbackPage): string[] {
  const body = callbackPage(page).split('</svg>')[1] as string
  return body
    .split(/<\/?(?:h1|p)[^>]*>/)
    .map((text) => text.replace(/<[^>]+>/g, '').trim())
    .filter((text) => text !== '')
}

const close = 'You can close this tab and go back to your terminal.'

test.each<[CallbackPage, string[]]>([
  [{ outcome: 'success' }, ['You are logged in', close]],
  [
    { outcome: 'success', server: 'mcp.example.com' },
    ['You are logged in', 'Your programs on this machine can now use mcp.example.com.', close]
  ],
  [{ outcome: 'failure' }, ['The login did not work', 'the terminal says why.', 'Your terminal says what to do next.', close]],
  [
    { outcome: 'failure', server: 'mcp.example.com', reason: 'it was refused', advice: 'ask the operator' },
    ['The login did not work', 'Logging in to mcp.example.com failed: it was refused', 'ask the operator', close]
  ],
  [{ outcome: 'unknown' }, ['Your answer has arrived', 'The login goes on in your terminal, which says how it ends.', close]],
  [
    { outcome: 'unknown', server: 'mcp.example.com', advice: 'not shown' },
    ['Your answer has arrived', 'The login to mcp.example.com goes on in your terminal, which says how it ends.', close]
  ]
])('the page for %j says what happened, and what to do', (page, lines) => {
  expect(read(page)).toEqual(lines)
})

test('T10: whatever comes from outside is text on the page, in its title too', () => {
  const hostile = `<b>&amp;"'\u001b[2J</b>`
  for (const outcome of ['success', 'failure', 'unknown'] as const) {
    const page = callbackPage({ outcome, server: hostile, reason: hostile, advice: hostile })
    expect(page).not.toContain('<b>')
    expect(page).not.toContain('\u001b')
    expect(page).toContain(` · &lt;b&gt;&amp;amp;&quot;&#39; [2J&lt;/b&gt;</title>`)
  }
})

test('T10: the page has one style, which is the one that its policy allows, and its class says how it went', () => {
  for (const outcome of ['success', 'failure', 'unknown'] as const) {
    const page = callbackPage({ outcome })
    const styles = [...page.matchAll(/<style>([\s\S]*?)<\/style>/g)].map(([, style]) => style as string)
    expect(styles).toHaveLength(1)
    expect(contentSecurityPolicy).toContain(
      `style-src 'sha256-${createHash('sha256')
        .update(styles[0] as string)
        .digest('base64')}'`
    )
    expect(page).toContain(`<body class="${outcome}">`)
    expect(page).not.toMatch(/<script|<form|<iframe|https?:|style=/)
    expect(page).not.toContain('undefined')
    expect(page).not.toContain('<p></p>')
    expect(page).toContain(`<title>${read({ outcome })[0]}</title>`)
  }
})

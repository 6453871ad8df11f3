import { createHash } from 'node:crypto'
import { safeText } from '@mcpauth/core'

/** What the browser tab shows when a login comes back to this machine. */
export interface CallbackPage {
  readonly outcome: 'success' | 'failure' | 'unknown'
  /** The MCP server that was logged in to, as a person knows it. */
  readonly server?: string
  /** What went wrong and what to do, each a sentence. */
  readonly reason?: string
  readonly advice?: string
}

const style = `
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --paper: #f6f7f9; --card: #ffffff; --line: #d8dee4; --good: #1a7f37; --bad: #b3261e; --calm: #0b5cad }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa5b1; --paper: #0d1117; --card: #161b22; --line: #30363d; --good: #4ac26b; --bad: #ff8a80; --calm: #7ab7ff } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: var(--paper); color: var(--ink); font: 1.0625rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
main { width: 100%; max-width: 32rem; padding: 2.5rem 2rem; background: var(--card); border: 1px solid var(--line); border-radius: 1rem; text-align: center }
svg { width: 3.5rem; height: 3.5rem; margin-bottom: .5rem; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round }
.success svg { color: var(--good) } .failure svg { color: var(--bad) } .unknown svg { color: var(--calm) }
h1 { margin: 0 0 .75rem; font-size: 1.5rem; line-height: 1.3; text-wrap: balance }
p { margin: .5rem 0; text-wrap: pretty; overflow-wrap: anywhere }
strong { font-weight: 600 }
.next { margin-top: 1.5rem; padding-top: 1.25rem; border-top: 1px solid var(--line); color: var(--soft) }
`

/** The policy of every page: nothing but this one style, no script, no frame, no form, nothing from elsewhere. */
export const contentSecurityPolicy: string = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join('; ')

const marks: Record<CallbackPage['outcome'], string> = {
  success: '<circle cx="12" cy="12" r="10"/><path d="m7.5 12.5 3 3 6-6.5"/>',
  failure: '<circle cx="12" cy="12" r="10"/><path d="M12 7v6"/><path d="M12 16.5v.01"/>',
  unknown: '<rect x="2.5" y="4" width="19" height="16" rx="2.5"/><path d="m7 9 3 3-3 3"/><path d="M12.5 15H17"/>'
}

const titles: Record<CallbackPage['outcome'], string> = {
  success: 'You are logged in',
  failure: 'The login did not work',
  unknown: 'Your answer has arrived'
}

/** Writes the page. Every variable part is escaped; what a server said never gets here except as the name of the MCP server. */
export function callbackPage({ outcome, server, reason, advice }: CallbackPage): string {
  const title = titles[outcome]
  const name = server === undefined ? '' : `<strong>${escapeHtml(server)}</strong>`
  const told = {
    success: name === '' ? '' : `Your programs on this machine can now use ${name}.`,
    failure: `${name === '' ? '' : `Logging in to ${name} failed: `}${escapeHtml(reason ?? 'the terminal says why.')}`,
    unknown: `${name === '' ? 'The login' : `The login to ${name}`} goes on in your terminal, which says how it ends.`
  }[outcome]
  const next = outcome === 'failure' ? escapeHtml(advice ?? 'Your terminal says what to do next.') : ''
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title}${server === undefined ? '' : ` · ${escapeHtml(server)}`}</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body class="${outcome}">
<main>
<svg viewBox="0 0 24 24" aria-hidden="true" focusable="false">${marks[outcome]}</svg>
<h1>${title}</h1>
${told === '' ? '' : `<p>${told}</p>\n`}${next === '' ? '' : `<p>${next}</p>\n`}<p class="next">You can close this tab and go back to your terminal.</p>
</main>
</body>
</html>
`
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

function escapeHtml(text: string): string {
  return safeText(text).replace(/[&<>"']/g, (character) => entities[character] as string)
}

/** A page for a person, without script. Everything that goes in is escaped. */
export function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escapeHtml(title)}</title>
<style>body{font:18px/1.5 system-ui;max-width:36rem;margin:15vh auto;padding:0 1rem}button{font:inherit;padding:.5rem 1.5rem}</style>
<h1>${escapeHtml(title)}</h1>${body}</html>`
}

/** The page on which a person allows a client in. */
export function consentPage(ask: { action: string; client: string; resource: string; scope: string; redirectUri: string }): string {
  const rows = [
    ['Client', ask.client],
    ['wants to use', ask.resource],
    ['with', ask.scope || 'no particular scope'],
    ['and returns to', ask.redirectUri]
  ].map(([name, value]) => `<dt>${name}</dt><dd><b>${escapeHtml(value as string)}</b></dd>`)
  return page(
    'Allow access?',
    `<dl>${rows.join('')}</dl><form method="post" action="${escapeHtml(ask.action)}">
<p><label>as <input name="account" value="alice" required></label></p>
<button type="submit">Allow</button> <button type="submit" name="deny" value="yes">Deny</button></form>`
  )
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

/** What a scripted person does on the authorization server's pages. */
export interface Visit {
  /** Who logs in. @default 'alice' */
  account?: string
  /** Press the other button. */
  deny?: boolean
  /** Also GET the callback that the last page redirects to, as a browser would. @default true */
  followCallback?: boolean
}

/**
 * Opens a URL of the authorization server like a browser with an empty profile and submits every form, until a redirect leads away from it.
 *
 * @returns the callback URL; for a device login, which has none, the URL of the last page.
 */
export async function approve(start: string | URL, visit: Visit = {}): Promise<URL> {
  const cookies = new Map<string, string>()
  let url = new URL(start)
  const home = url.origin
  let form: URLSearchParams | undefined

  // A login takes at most eight hops; anything longer is a loop.
  for (let hop = 0; hop < 16; hop++) {
    const response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      ...(form ? { body: form } : {}),
      headers: { cookie: Array.from(cookies, ([name, value]) => `${name}=${value}`).join('; '), accept: 'text/html' },
      redirect: 'manual'
    })
    for (const line of response.headers.getSetCookie()) keepCookie(cookies, line)
    const text = await response.text()
    const location = response.headers.get('location')
    if (location !== null) {
      url = new URL(location, url)
      form = undefined
      if (url.origin !== home) return leave(url, visit)
    } else {
      const found = findForm(text, url)
      if (!response.ok) throw new Error(`the authorization server answered ${response.status}: ${text.slice(0, 500)}`)
      if (!found) return url
      url = found.action
      form = found.fields
      if (form.has('account')) form.set('account', visit.account ?? 'alice')
      if (visit.deny) form.set('deny', 'yes')
    }
  }
  throw new Error('the login went round in circles')
}

async function leave(callback: URL, { followCallback = true }: Visit): Promise<URL> {
  if (followCallback) await (await fetch(callback)).text()
  return callback
}

function keepCookie(cookies: Map<string, string>, line: string): void {
  const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
  const at = pair.indexOf('=')
  const gone = pair.length === at + 1 || attributes.some((attribute) => /^expires=Thu, 01 Jan 1970/i.test(attribute))
  if (gone) cookies.delete(pair.slice(0, at))
  else cookies.set(pair.slice(0, at), pair.slice(at + 1))
}

function findForm(html: string, base: URL): { action: URL; fields: URLSearchParams } | undefined {
  const form = /<form\b([^>]*)>([\s\S]*?)<\/form>/i.exec(html)
  if (!form) return undefined
  const fields = new URLSearchParams()
  for (const [input] of (form[2] as string).matchAll(/<input\b[^>]*>/gi)) {
    const name = attribute(input, 'name')
    if (name !== undefined) fields.set(name, attribute(input, 'value') ?? '')
  }
  return { action: new URL(attribute(form[1] as string, 'action') ?? '', base), fields }
}

function attribute(tag: string, name: string): string | undefined {
  const value = new RegExp(`\\b${name}="([^"]*)"`, 'i').exec(tag)?.[1]
  return value?.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code))).replaceAll('&amp;', '&')
}

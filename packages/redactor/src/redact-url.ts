import type { Rules } from './rules.ts'
import { isSecretParameter } from './secret-names.ts'

const hidden = '[REDACTED]'
const userinfo = /^([a-z][a-z0-9+.-]*:)?\/\/[^/?#\\\s]*@/i

/**
 * Takes user name, password and secret parameters out of a URL, absolute or not, and whatever `redactText` finds in the rest.
 * It is never parsed, so that what is no URL is made safe too and everything else stays as it was written.
 */
export function urlRedactor(rules: Rules, redactText: (text: string) => string): (url: string | URL) => string {
  function parameters(part: string): string {
    return part
      .split('&')
      .map((pair) => {
        const equals = pair.indexOf('=')
        if (equals === -1) return pair
        const name = decoded(pair.slice(0, equals))
        if (isSecretParameter(name) && rules.urls(name)) return `${pair.slice(0, equals)}=${hidden}`
        const value = decoded(pair.slice(equals + 1))
        return redactText(value) === value ? pair : `${pair.slice(0, equals)}=${redactText(value)}`
      })
      .join('&')
  }

  return (url) => {
    const text = String(url)
    const [, address = '', query, fragment] = /^([^?#]*)(\?[^#]*)?(#[\s\S]*)?$/.exec(text) ?? [text, text]
    const bare = rules.urls('userinfo')
      ? address.replace(userinfo, (_whole, scheme: string | undefined) => `${scheme ?? ''}//${hidden}@`)
      : address
    const rest = [query, fragment].map((part) => (part === undefined ? '' : part.charAt(0) + parameters(part.slice(1)))).join('')
    return redactText(bare + rest)
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}

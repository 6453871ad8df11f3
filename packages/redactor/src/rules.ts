import { invalidOption } from '@mcpauth/core'

/** Switches one rule: on, off, or on except for what is allowed. A string allows exactly itself (names in any case), an expression what it matches. */
export type Rule = boolean | { readonly allow: ReadonlyArray<string | RegExp> }

/** Options of `createRedactor`. Every rule is on by default. */
export interface RedactorOptions {
  /** 1. What any mcpauth package has read as a secret, in all its forms. It has no allow list: take the secret out of the program instead. @default true */
  registered?: boolean
  /** 2. Values that look like the keys and tokens of known vendors, JWTs and PEM private keys. Allow by value. @default true */
  vendorShapes?: Rule
  /** 3. Hexadecimal of 32 and more characters. Allow by value. @default true */
  hexBlobs?: Rule
  /** 4. Text of 32 and more characters that looks random. Allow by value. @default true */
  randomBlobs?: Rule
  /** 5. Values under keys such as `password` or `*_token` in JSON, forms and logs. Allow by key. @default true */
  secretKeys?: Rule
  /** 6. The headers Authorization, Proxy-Authorization, Cookie, Set-Cookie. Allow by name. @default true */
  sensitiveHeaders?: Rule
  /** 7. Headers named like a credential (`*-Token`, `*-Key`, `Signature`, `Mcp-Session-Id`, …). Allow by name. @default true */
  credentialHeaders?: Rule
  /** 8. User name and password in URLs, and parameters named like a secret. Allow by parameter. @default true */
  urls?: Rule
}

/** Whether a rule takes out this value, key, header or parameter. */
export type Applies = (subject: string) => boolean

/** The rules, ready to be asked. */
export type Rules = Record<Exclude<keyof RedactorOptions, 'registered'>, Applies>

/**
 * Checks the options and prepares the rules.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 */
export function openRules(options: RedactorOptions): Rules {
  return {
    vendorShapes: openRule('vendorShapes', options.vendorShapes),
    hexBlobs: openRule('hexBlobs', options.hexBlobs),
    randomBlobs: openRule('randomBlobs', options.randomBlobs),
    secretKeys: openRule('secretKeys', options.secretKeys),
    sensitiveHeaders: openRule('sensitiveHeaders', options.sensitiveHeaders),
    credentialHeaders: openRule('credentialHeaders', options.credentialHeaders),
    urls: openRule('urls', options.urls)
  }
}

function openRule(name: string, rule: Rule = true): Applies {
  if (rule === true) return () => true
  if (rule === false) return () => false
  if (!Array.isArray(rule?.allow)) throw invalidOption(name, 'is not true, false or { allow: [] }')
  const words = new Set<string>()
  const expressions: RegExp[] = []
  for (const item of rule.allow) {
    if (typeof item === 'string') words.add(item.toLowerCase())
    // With g or y an expression would remember where it was.
    else if (item instanceof RegExp) expressions.push(new RegExp(item.source, item.flags.replace(/[gy]/g, '')))
    else throw invalidOption(`${name}.allow`, 'holds something that is neither a string nor a regular expression')
  }
  return (subject) => !words.has(subject.toLowerCase()) && !expressions.some((expression) => expression.test(subject))
}

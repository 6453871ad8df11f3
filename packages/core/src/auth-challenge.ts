/** One challenge of a `WWW-Authenticate` header (RFC 9110 §11.6.1). */
export interface AuthChallenge {
  /** Lower case. */
  readonly scheme: string
  /** Names in lower case, without prototype; of a repeated name the last counts. */
  readonly parameters: Readonly<Record<string, string>>
  readonly token68?: string
}

const separators = /[ \t,]*/y
const spaces = /[ \t]*/y
const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y
const token68 = /([A-Za-z0-9\-._~+/]+=*)[ \t]*(?=,|$)/y
const quotedString = /"([^"\\]*(?:\\[\s\S][^"\\]*)*)"/y
// Not in the grammar, but sent by servers that do not quote their metadata URL.
const bareUrl = /https?:\/\/[^\s",]+/iy
const endOfItem = /[ \t]*(?=,|$)/y
const restOfItem = /(?:[^",]+|"[^"\\]*(?:\\[\s\S][^"\\]*)*"|"[\s\S]*)*/y

/**
 * Parses `WWW-Authenticate`, however many challenges it holds and in however many lines it came (RFC 9110 §11).
 * A challenge that breaks the grammar is left out, the others are kept; nothing is thrown. One pass, linear in the header's length.
 */
export function parseChallenges(header: string | readonly string[] | undefined): AuthChallenge[] {
  if (header === undefined) return []
  return (typeof header === 'string' ? [header] : header).flatMap(parseLine)
}

interface OpenChallenge {
  scheme: string
  parameters: Record<string, string>
  token68?: string
  broken: boolean
  /** A comma came right after the scheme: what follows cannot be its parameters. */
  closed: boolean
}

function parseLine(line: string): AuthChallenge[] {
  const found: OpenChallenge[] = []
  let at = 0
  let open: OpenChallenge | undefined

  function take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = at
    const match = pattern.exec(line)
    if (match) at = pattern.lastIndex
    return match ?? undefined
  }

  /** The part behind a name that makes it a parameter; undefined when it is none or broken. */
  function takeValue(): string | undefined {
    const value = take(quotedString)
    const text = value ? (value[1] as string).replace(/\\([\s\S])/g, '$1') : (take(bareUrl) ?? take(token))?.[0]
    return take(endOfItem) ? text : undefined
  }

  function takeParameter(name: string): void {
    const value = takeValue()
    if (value === undefined || !open || open.closed || open.token68 !== undefined) {
      if (open) open.broken = true
      take(restOfItem)
    } else {
      open.parameters[name.toLowerCase()] = value
    }
  }

  /** What follows a scheme and a space: a token68 or the first parameter. */
  function takeFirst(challenge: OpenChallenge, gap: string): void {
    const whole = gap === '' ? undefined : take(token68)
    if (whole) {
      challenge.token68 = whole[1] as string
      return
    }
    const name = take(token)?.[0]
    take(spaces)
    if (name !== undefined && line[at] === '=') {
      at += 1
      take(spaces)
      takeParameter(name)
    } else {
      challenge.broken = true
      take(restOfItem)
    }
  }

  take(separators)
  while (at < line.length) {
    const name = take(token)?.[0]
    const gap = (take(spaces) as RegExpExecArray)[0]
    if (name === undefined) {
      if (open) open.broken = true
      take(restOfItem)
    } else if (line[at] === '=') {
      at += 1
      take(spaces)
      takeParameter(name)
    } else {
      open = { scheme: name.toLowerCase(), parameters: Object.create(null), broken: false, closed: at >= line.length || line[at] === ',' }
      found.push(open)
      if (!open.closed) takeFirst(open, gap)
    }
    take(separators)
  }
  return found
    .filter(({ broken }) => !broken)
    .map(({ scheme, parameters, token68 }) => (token68 === undefined ? { scheme, parameters } : { scheme, parameters, token68 }))
}

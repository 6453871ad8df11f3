import { secrets } from '@mcpauth/core'
import { type Finding, privateKeys, secretRuns, secretValues } from './find-in-text.ts'
import type { RedactorOptions, Rules } from './rules.ts'

/** Takes the secrets out of a text: what is registered first, then what gives itself away, then what stands under a telling key. */
export function textRedactor(options: RedactorOptions, rules: Rules): (text: string) => string {
  const registered = options.registered !== false
  return (text) => {
    const known = registered ? secrets.redact(text) : text
    return splice(known, [...privateKeys(known, rules), ...secretRuns(known, rules), ...secretValues(known, rules)])
  }
}

/** Overlapping findings become one, from the first's start to the last's end. */
function splice(text: string, findings: Finding[]): string {
  if (findings.length === 0) return text
  findings.sort((a, b) => a.start - b.start || b.end - a.end)
  let result = ''
  let at = 0
  let end = 0
  let replacement = ''
  for (const finding of findings) {
    if (finding.start >= end) {
      result += replacement + text.slice(at, finding.start)
      replacement = finding.replacement
      at = end = finding.end
    } else if (finding.end > end) {
      at = end = finding.end
    }
  }
  return result + replacement + text.slice(at)
}

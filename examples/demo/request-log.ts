import type { Redactor } from '@mcpauth/redactor'
import type { RecordedRequest } from '@mcpauth/tests/servers'

/** Method, path without query, and answer of every request since a moment, in the order in which the servers saw them. */
export function requestLines(logs: ReadonlyArray<readonly RecordedRequest[]>, sinceMs: number): string[] {
  const requests = logs
    .flat()
    .filter(({ atMs }) => atMs >= sinceMs)
    .sort((a, b) => a.atMs - b.atMs)
  return requests.map(
    ({ method, path, headers, status }) => `${method} http://${headers.host}${path.split('?')[0]} → ${status ?? 'no answer'}`
  )
}

/** One line per request with its credential headers; equal neighbours are counted. Without a redactor, as it is. */
export function requestLog(requests: readonly RecordedRequest[], redactor?: Redactor): string[] {
  const counted: Array<{ line: string; times: number }> = []
  for (const { method, path, headers, status } of [...requests].sort((a, b) => a.atMs - b.atMs)) {
    const { authorization, 'x-api-key': key } = redactor ? redactor.redactHeaders(headers) : headers
    const url = redactor ? redactor.redactText(path) : path
    const shown = [authorization && `authorization: ${authorization}`, key && `x-api-key: ${key}`].filter(Boolean).join(', ')
    const line = `${method} ${url.length > 60 ? `${url.slice(0, 60)}…` : url} → ${status ?? '?'}${shown ? `   ${shown}` : ''}`
    const last = counted.at(-1)
    if (last?.line === line) last.times += 1
    else counted.push({ line, times: 1 })
  }
  return counted.map(({ line, times }) => (times === 1 ? line : `${line}   × ${times}`))
}

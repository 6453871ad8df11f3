const queries = /(\bhttps?:\/\/[^\s?#"'<>]*\?)[^\s#"'<>]+/gi

/**
 * Takes the query out of each URL in a text. Some servers are given their key there (`https://mcp.example.com/mcp?api_key=…`), and the URL of the server stands in
 * most errors and events.
 */
export function withoutQueries(text: string): string {
  return text.includes('?') ? text.replace(queries, '$1…') : text
}

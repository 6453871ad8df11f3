// One request with nothing loaded before it, not even an HTTP server; prints its milliseconds, imports included.
const [mode = '', url = ''] = process.argv.slice(2)

const modes: Readonly<Record<string, () => Promise<unknown>>> = {
  async fetch() {
    return (await fetch(url)).text()
  },
  async undici() {
    const undici = await import('undici')
    return (await undici.fetch(url)).text()
  },
  async mcpauth() {
    const [{ authFetch }, { withOAuth }] = await Promise.all([import('@mcpauth/core'), import('@mcpauth/oauth')])
    return (await authFetch(withOAuth(url))(url)).text()
  }
}

const before = performance.now()
await modes[mode]?.()
console.log(performance.now() - before)
process.exit(0)

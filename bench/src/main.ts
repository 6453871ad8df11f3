// ./dev bench [requests] [costs] [postgres] [signing] [redactor]: all tables, or those that are named.
const tables: Readonly<Record<string, () => Promise<void>>> = {
  requests: async () => (await import('./requests.ts')).requestsBench(),
  costs: async () => (await import('./costs.ts')).costsBench(),
  postgres: async () => (await import('./postgres.ts')).postgresBench(),
  signing: async () => (await import('./signing.ts')).signingBench(),
  redactor: async () => (await import('./redactor.ts')).redactorBench()
}

const named = process.argv.slice(2)
const unknown = named.filter((name) => !(name in tables))
if (unknown.length > 0) {
  console.error(`bench: no table ${unknown.join(', ')}; there are ${Object.keys(tables).join(', ')}`)
  process.exit(2)
}
for (const [name, table] of Object.entries(tables)) if (named.length === 0 || named.includes(name)) await table()

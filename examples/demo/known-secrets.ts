import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Every secret the demo has come across. */
export interface KnownSecrets {
  add(...values: Array<string | undefined>): void
  /** Takes in what the token cache holds now. */
  addCache(folder: string): Promise<void>
  readonly size: number
  /** How many of them a text holds, as they are, percent-encoded or in base64. */
  countIn(text: string): number
}

const secretFields = ['access_token', 'refresh_token', 'client_secret', 'registration_access_token']

export function collectSecrets(): KnownSecrets {
  const known = new Set<string>()

  function add(...values: Array<string | undefined>): void {
    for (const value of values) if (value) known.add(value)
  }

  function addFrom(value: unknown): void {
    if (typeof value !== 'object' || value === null) return
    for (const [name, field] of Object.entries(value)) {
      if (secretFields.includes(name) && typeof field === 'string') add(field)
      else addFrom(field)
    }
  }

  return {
    add,
    async addCache(folder) {
      for (const file of await readdir(folder, { recursive: true })) {
        if (file.endsWith('.json')) addFrom(JSON.parse(await readFile(join(folder, file), 'utf8')))
      }
    },
    get size() {
      return known.size
    },
    countIn(text) {
      const forms = (secret: string): string[] => [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')]
      return [...known].filter((secret) => forms(secret).some((form) => text.includes(form))).length
    }
  }
}

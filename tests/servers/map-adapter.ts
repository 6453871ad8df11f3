import type { Adapter, AdapterFactory, AdapterPayload } from 'oidc-provider'

/**
 * Storage for oidc-provider in plain Maps. The bundled one is an LRU of 1,000 entries and evicts grants under load.
 *
 * @param graceMs How long a rotated refresh token may still be used; oidc-provider has no such window itself.
 */
export function mapAdapter(options: { graceMs: number }): AdapterFactory & { forgetClients(): void } {
  const models = new Map<string, Map<string, AdapterPayload>>()
  const consumedAtMs = new WeakMap<AdapterPayload, number>()

  const adapter = (model: string): Adapter => {
    const entries = models.get(model) ?? new Map<string, AdapterPayload>()
    models.set(model, entries)
    const graceMs = model === 'RefreshToken' ? options.graceMs : 0

    function seen(payload: AdapterPayload | undefined): AdapterPayload | undefined {
      const at = payload && consumedAtMs.get(payload)
      if (payload === undefined || at === undefined || Date.now() < at + graceMs) return payload
      return { ...payload, consumed: Math.floor(at / 1000) }
    }

    async function findBy(matches: (payload: AdapterPayload) => boolean): Promise<AdapterPayload | undefined> {
      for (const payload of entries.values()) if (matches(payload)) return seen(payload)
      return undefined
    }

    return {
      async upsert(id, payload) {
        entries.set(id, payload)
      },
      async find(id) {
        return seen(entries.get(id))
      },
      findByUid: (uid) => findBy((payload) => payload.uid === uid),
      findByUserCode: (userCode) => findBy((payload) => payload.userCode === userCode),
      async consume(id) {
        const payload = entries.get(id)
        // The first use counts: a second one within the window must not prolong it.
        if (payload && !consumedAtMs.has(payload)) consumedAtMs.set(payload, Date.now())
      },
      async destroy(id) {
        entries.delete(id)
      },
      async revokeByGrantId(grantId) {
        for (const [id, payload] of entries) if (payload.grantId === grantId) entries.delete(id)
      }
    }
  }

  return Object.assign(adapter, { forgetClients: () => models.get('Client')?.clear() })
}

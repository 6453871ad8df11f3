import type { TokenStore } from '@mcpauth/core'
import { type OAuthOptions, oauthTokens, withOAuth } from '@mcpauth/oauth'
import { fileLock, fileStore, memoryStore } from '@mcpauth/token-store'
import { keyringStore } from '@mcpauth/token-store-keyring'
import { createCanary } from './canary.ts'
import type { CredentialSlot } from './credential-slots.ts'
import { encryptionKey, fullDisk, grantOf, hostileDatabase, keep, keyOf, memoryKeychain, temporaryFolders } from './hostile-stores.ts'

const folders = temporaryFolders()
const database = hostileDatabase()

/** Ends what the slots have opened. */
export async function closeStores(): Promise<void> {
  await database[Symbol.asyncDispose]()
  folders[Symbol.dispose]()
}

interface OpenedStore {
  readonly store: TokenStore
  /** Through which the record gets there, when the store itself lets nothing in. @default the store */
  readonly way?: TokenStore
  readonly options?: OAuthOptions
}

/** Tokens of a login that lie in a store. The server refuses them, and they are refreshed, or not. */
function storedTokens(where: string, open: () => OpenedStore | Promise<OpenedStore>): CredentialSlot {
  const canaries = { access: createCanary('access'), refresh: createCanary('refresh'), secret: createCanary('secret') }
  return {
    title: `oauth, tokens in ${where}`,
    canaries: { ...canaries, encryptionKey },
    sent: Object.keys(canaries),
    async make(server) {
      const { store, way = store, options } = await open()
      await keep(way, keyOf(server), grantOf(server, canaries))
      return withOAuth(server, oauthTokens(server, { store, ...options }))
    }
  }
}

/** Every store that there is, sound and broken. */
export const storeSlots: readonly CredentialSlot[] = [
  storedTokens('memory', () => ({ store: memoryStore() })),
  storedTokens('files', () => ({ store: fileStore({ root: folders.make() }) })),
  storedTokens('files, on a disk that is full', () => {
    const root = folders.make()
    return { store: fileStore({ root, probe: fullDisk() }), way: fileStore({ root }) }
  }),
  storedTokens('files, refreshed by a process of its own', () => ({
    store: fileStore({ root: folders.make() }),
    options: { refreshIsolation: 'process' }
  })),
  storedTokens('PostgreSQL', async () => ({ store: await database.encrypted() })),
  storedTokens('PostgreSQL, which refuses a row and quotes it', async () => {
    const { stuck, free } = await database.stuck()
    return { store: stuck, way: free }
  }),
  storedTokens('a keychain', () => ({ store: keyringStore({ keychain: memoryKeychain(), lock: fileLock({ root: folders.make() }) }) })),
  storedTokens('a keychain that refuses an entry and quotes it', () => {
    const lock = fileLock({ root: folders.make() })
    const keychain = memoryKeychain()
    const quoting = { ...keychain, set: (_: string, password: string) => Promise.reject(new Error(`cannot store ${password}`)) }
    return { store: keyringStore({ keychain: quoting, lock }), way: keyringStore({ keychain, lock }) }
  })
]

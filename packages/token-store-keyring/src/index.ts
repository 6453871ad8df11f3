export type { Keychain } from './keychain.ts'
export { type KeyringStoreOptions, keyringStore } from './keyring-store.ts'

import { McpAuthError } from '@mcpauth/core'
import type { AsyncEntry, EntryOptions, findCredentialsAsync } from '@napi-rs/keyring'

/** The part of the native module that is used. */
interface NativeKeychain {
  AsyncEntry: new (service: string, account: string, options?: EntryOptions) => AsyncEntry
  findCredentialsAsync: typeof findCredentialsAsync
}

/** One service's passwords in the operating system's keychain. */
export interface Keychain {
  get(account: string): Promise<string | undefined>
  set(account: string, password: string): Promise<void>
  delete(account: string): Promise<void>
  all(): Promise<Array<{ account: string; password: string }>>
}

/** Without a Secret Service, the native module would fall back to the kernel's keyring, which forgets everything at the next start of the machine. */
const durable: EntryOptions = { linux: { store: 'secret-service' } }

/**
 * The macOS Keychain, the Windows Credential Manager, or the Secret Service.
 *
 * @throws `MCPAUTH_STORE_UNAVAILABLE` from every method: no keychain answers, or it is locked.
 */
export function osKeychain(service: string): Keychain {
  let native: Promise<NativeKeychain> | undefined

  async function answered<T>(work: (keychain: NativeKeychain) => Promise<T>): Promise<T> {
    try {
      // Loaded when it is first used: a native module costs a program that never asks for a token nothing.
      native ??= import('@napi-rs/keyring')
      return await work(await native)
    } catch {
      // What the platform says may quote what it was given.
      throw noKeychain()
    }
  }

  return {
    get: (account) => answered(async ({ AsyncEntry }) => (await new AsyncEntry(service, account, durable).getPassword()) ?? undefined),
    set: (account, password) => answered(({ AsyncEntry }) => new AsyncEntry(service, account, durable).setPassword(password)),
    delete: (account) => answered(async ({ AsyncEntry }) => void (await new AsyncEntry(service, account, durable).deleteCredential())),
    all: () => answered(({ findCredentialsAsync }) => findCredentialsAsync(service))
  }
}

function noKeychain(): McpAuthError {
  return new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', "the operating system's keychain does not answer", {
    hint: 'unlock it; where there is none (a server without a desktop), use fileStore(), or keyringStore({ fallback: fileStore() })'
  })
}

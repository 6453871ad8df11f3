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

/** The macOS Keychain, the Windows Credential Manager, or the Secret Service. */
export function osKeychain(service: string): Keychain {
  let native: Promise<NativeKeychain> | undefined

  async function entry(account: string): Promise<AsyncEntry> {
    const { AsyncEntry } = await loaded()
    return new AsyncEntry(service, account, durable)
  }

  /** When it is first used: a native module costs a program that never asks for a token nothing. */
  function loaded(): Promise<NativeKeychain> {
    native ??= import('@napi-rs/keyring')
    return native
  }

  return {
    get: async (account) => (await (await entry(account)).getPassword()) ?? undefined,
    set: async (account, password) => await (await entry(account)).setPassword(password),
    delete: async (account) => void (await (await entry(account)).deleteCredential()),
    all: async () => await (await loaded()).findCredentialsAsync(service)
  }
}

/**
 * The same keychain with errors of ours: what a platform, or the code behind the option, says may quote what it was given.
 *
 * @throws `MCPAUTH_STORE_UNAVAILABLE` from every method: no keychain answers, or it is locked.
 */
export function discreet(keychain: Keychain): Keychain {
  async function answered<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw McpAuthError.is(error) ? error : noKeychain()
    }
  }

  return {
    get: (account) => answered(() => keychain.get(account)),
    set: (account, password) => answered(() => keychain.set(account, password)),
    delete: (account) => answered(() => keychain.delete(account)),
    all: () => answered(() => keychain.all())
  }
}

function noKeychain(): McpAuthError {
  return new McpAuthError('MCPAUTH_STORE_UNAVAILABLE', "the operating system's keychain does not answer", {
    hint: 'unlock it; where there is none (a server without a desktop), use fileStore(), or keyringStore({ fallback: fileStore() })'
  })
}

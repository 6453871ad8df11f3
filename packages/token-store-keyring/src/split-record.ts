import { randomBytes } from 'node:crypto'
import type { StoreKey } from '@mcpauth/core'
import { storeFileName } from '@mcpauth/token-store'
import type { Keychain } from './keychain.ts'

/** What stands in the keychain under a record's own name: the record, or where its parts are. */
interface Head {
  readonly v: 1
  readonly key: StoreKey
  /** The record's JSON, when it fits. */
  readonly record?: string
  /** Where its parts are otherwise: `<name>#<id>#<index>`. */
  readonly id?: string
  readonly parts?: number
}

/** A record as it was found. */
export interface FoundRecord {
  readonly key: StoreKey
  /** undefined: parts are missing. */
  readonly bytes: Uint8Array | undefined
}

/**
 * Reads and writes records of any size in a keychain whose entries have a limit (Windows: 2,560 bytes). New parts are written under a new id before the head
 * that names them is replaced, so that a reader, or a crash, meets the old record or the new one.
 */
export function splitRecords(
  keychain: Keychain,
  maxPartLength: number
): {
  read(name: string): Promise<FoundRecord | undefined>
  write(name: string, key: StoreKey, bytes: Uint8Array): Promise<void>
  list(): Promise<StoreKey[]>
} {
  async function headOf(name: string): Promise<Head | undefined> {
    return parseHead(await keychain.get(name))
  }

  async function read(name: string): Promise<FoundRecord | undefined> {
    const head = await headOf(name)
    if (!head) return undefined
    if (head.record !== undefined) return { key: head.key, bytes: Buffer.from(head.record) }
    const parts = await Promise.all(partNames(name, head).map((part) => keychain.get(part)))
    return { key: head.key, bytes: parts.includes(undefined) ? undefined : Buffer.from(parts.join(''), 'base64') }
  }

  async function write(name: string, key: StoreKey, bytes: Uint8Array): Promise<void> {
    const before = await headOf(name)
    const whole: Head = { v: 1, key, record: Buffer.from(bytes).toString() }
    if (JSON.stringify(whole).length <= maxPartLength) {
      await keychain.set(name, JSON.stringify(whole))
    } else {
      const text = Buffer.from(bytes).toString('base64')
      const head: Head = { v: 1, key, id: randomBytes(8).toString('hex'), parts: Math.ceil(text.length / maxPartLength) }
      for (const [index, part] of partNames(name, head).entries()) {
        await keychain.set(part, text.slice(index * maxPartLength, (index + 1) * maxPartLength))
      }
      await keychain.set(name, JSON.stringify(head))
    }
    if (before) for (const part of partNames(name, before)) await keychain.delete(part)
  }

  async function list(): Promise<StoreKey[]> {
    const entries = await keychain.all()
    return entries.flatMap(({ account, password }) => {
      const key = parseHead(password)?.key
      return key && isNameOf(account, key) ? [key] : []
    })
  }

  return { read, write, list }
}

function partNames(name: string, { id, parts = 0 }: Head): string[] {
  return id === undefined ? [] : Array.from({ length: parts }, (_, index) => `${name}#${id}#${index}`)
}

function parseHead(text: string | undefined): Head | undefined {
  if (text === undefined) return undefined
  try {
    const head = JSON.parse(text) as Head
    const split =
      typeof head.id === 'string' && /^[0-9a-f]{16}$/.test(head.id) && Number.isInteger(head.parts) && (head.parts as number) <= 10_000
    return head.v === 1 && typeof head.key === 'object' && head.key !== null && (split || typeof head.record === 'string')
      ? head
      : undefined
  } catch {
    return undefined
  }
}

/** An entry counts only under the name of the key it says it is for. */
function isNameOf(account: string, key: StoreKey): boolean {
  try {
    return storeFileName(key) === account
  } catch {
    return false
  }
}

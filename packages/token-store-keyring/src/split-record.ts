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

/** A record's bytes; or what stands in their place: something that a newer version has written in another form, or that is no record, or of which parts are missing. */
export type FoundRecord = Uint8Array | 'newer' | 'damaged'

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
  async function read(name: string): Promise<FoundRecord | undefined> {
    const text = await keychain.get(name)
    const head = text === undefined ? undefined : parseHead(text)
    if (typeof head !== 'object') return head
    if (head.record !== undefined) return Buffer.from(head.record)
    const parts = await Promise.all(partNames(name, head).map((part) => keychain.get(part)))
    return parts.includes(undefined) ? 'damaged' : Buffer.from(parts.join(''), 'base64')
  }

  /** Where the parts of what is replaced are. */
  async function partsOf(name: string): Promise<string[]> {
    const head = parseHead((await keychain.get(name)) ?? '')
    return typeof head === 'object' ? partNames(name, head) : []
  }

  async function write(name: string, key: StoreKey, bytes: Uint8Array): Promise<void> {
    const before = await partsOf(name)
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
    for (const part of before) await keychain.delete(part)
  }

  async function list(): Promise<StoreKey[]> {
    const entries = await keychain.all()
    return entries.flatMap(({ account, password }) => {
      const head = parseHead(password)
      return typeof head === 'object' && isNameOf(account, head.key) ? [head.key] : []
    })
  }

  return { read, write, list }
}

function partNames(name: string, { id, parts = 0 }: Head): string[] {
  return id === undefined ? [] : Array.from({ length: parts }, (_, index) => `${name}#${id}#${index}`)
}

function parseHead(text: string): Head | 'newer' | 'damaged' {
  try {
    const head = JSON.parse(text) as Head
    if (typeof head.v === 'number' && head.v > 1) return 'newer'
    const split =
      typeof head.id === 'string' && /^[0-9a-f]{16}$/.test(head.id) && Number.isInteger(head.parts) && (head.parts as number) <= 10_000
    const sound = head.v === 1 && typeof head.key === 'object' && head.key !== null && (split || typeof head.record === 'string')
    return sound ? head : 'damaged'
  } catch {
    return 'damaged'
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

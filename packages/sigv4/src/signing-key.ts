import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'

/** What a signature is valid for. */
export interface SigningScope {
  readonly region: string
  readonly service: string
}

/** The `Credential` scope of one day. */
export function credentialScope(day: string, { region, service }: SigningScope): string {
  return `${day}/${region}/${service}/aws4_request`
}

/** Step 3 of AWS Signature Version 4: the key of one day, region and service. As a KeyObject, because handing one to `createHmac` copies no bytes. */
export function signingKey(secretAccessKey: string, day: string, { region, service }: SigningScope): KeyObject {
  const ofDay = hmac(`AWS4${secretAccessKey}`, day)
  const ofRegion = hmac(ofDay, region)
  const ofService = hmac(ofRegion, service)
  return createSecretKey(hmac(ofService, 'aws4_request'))
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

/** Keeps the last key; it changes with the day and with the credentials. */
export function signingKeyCache(scope: SigningScope): (secretAccessKey: string, day: string) => KeyObject {
  let last: { secretAccessKey: string; day: string; key: KeyObject } | undefined

  return (secretAccessKey, day) => {
    if (last?.secretAccessKey !== secretAccessKey || last.day !== day) {
      last = { secretAccessKey, day, key: signingKey(secretAccessKey, day, scope) }
    }
    return last.key
  }
}

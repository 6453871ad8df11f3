export const base64 = (text: string): string => Buffer.from(text).toString('base64')

const lowerCase = (text: string): string => text.replace(/%[0-9A-F]{2}/g, (octet) => octet.toLowerCase())

/** The ways in which a secret gets into a log, as others write them. */
export const forms: Array<[name: string, write: (secret: string) => string]> = [
  ['as it is', (secret) => secret],
  ['hex', (secret) => Buffer.from(secret).toString('hex')],
  ['HEX', (secret) => Buffer.from(secret).toString('hex').toUpperCase()],
  ['base64', base64],
  ['base64url', (secret) => Buffer.from(secret).toString('base64url')],
  ['base64 after one foreign byte', (secret) => base64(`u${secret}`)],
  ['base64 after two foreign bytes', (secret) => base64(`u:${secret}`)],
  ['base64 between foreign bytes', (secret) => base64(`user:${secret}:more`)],
  ['percent-encoded', (secret) => encodeURIComponent(secret)],
  ['percent-encoded in lower case', (secret) => lowerCase(encodeURIComponent(secret))],
  ['form-encoded in lower case', (secret) => lowerCase(new URLSearchParams({ q: secret }).toString())],
  ['JSON with escaped slashes', (secret) => secret.replaceAll('/', '\\/')],
  ['form-encoded as a name', (secret) => new URLSearchParams([[secret, '']]).toString()],
  ['form-encoded', (secret) => new URLSearchParams({ q: secret }).toString()],
  ['JSON', (secret) => JSON.stringify({ secret })],
  ['JSON in JSON', (secret) => JSON.stringify({ text: JSON.stringify({ secret }) })]
]

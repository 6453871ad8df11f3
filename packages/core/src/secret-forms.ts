/** One way in which a secret can stand in a text. */
export interface SecretForm {
  /** What of the secret is certain to stand there, whatever surrounds it; shorter than {@link minimumForm} or equal to the secret: of no use. */
  write(secret: string): string
  /** Characters before and after that hold the secret's first and last bits mixed with foreign ones. */
  readonly lead: number
  readonly trail: boolean
}

/** A form shorter than this is not searched for. */
export const minimumForm = 7

/**
 * The forms a registered secret is searched in: as it is, hexadecimal, base64 and base64url at each of the three alignments it can have
 * inside something longer (`Basic` credentials), percent-encoded by both habits, escaped in JSON once and in JSON within JSON.
 */
export const secretForms: readonly SecretForm[] = [
  plain((secret) => secret),
  plain((secret) => Buffer.from(secret).toString('hex')),
  plain((secret) => Buffer.from(secret).toString('hex').toUpperCase()),
  ...[0, 1, 2].map((shift) => base64At(shift, 'base64')),
  ...[0, 1, 2].map((shift) => base64At(shift, 'base64url')),
  plain(percentEncoded),
  plain((secret) => lowerPercent(percentEncoded(secret))),
  plain(formEncoded),
  plain((secret) => lowerPercent(formEncoded(secret))),
  plain(jsonEscaped),
  plain((secret) => jsonEscaped(jsonEscaped(secret))),
  plain((secret) => secret.replaceAll('/', '\\/'))
]

function plain(write: (secret: string) => string): SecretForm {
  return { write, lead: 0, trail: false }
}

/** What of the base64 text is the secret's alone when `shift` foreign bytes stand before it in the group of three. */
function base64At(shift: number, encoding: 'base64' | 'base64url'): SecretForm {
  function write(secret: string): string {
    const bytes = Buffer.from(secret)
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString(encoding)
    return text.slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + bytes.length) * 8) / 6))
  }
  return { write, lead: shift === 0 ? 0 : 1, trail: true }
}

function percentEncoded(secret: string): string {
  return encodeURIComponent(secret.toWellFormed())
}

function formEncoded(secret: string): string {
  return new URLSearchParams([['', secret]]).toString().slice(1)
}

function lowerPercent(text: string): string {
  return text.replace(/%[0-9A-F]{2}/g, (octet) => octet.toLowerCase())
}

function jsonEscaped(secret: string): string {
  return JSON.stringify(secret).slice(1, -1)
}

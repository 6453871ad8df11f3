// Without `_` and `-`, in lower case: `access_token`, `access-token` and `accessToken` are one name.
const names: ReadonlySet<string> = new Set([
  'accesskey',
  'accesstoken',
  'actortoken',
  'apikey',
  'apisecret',
  'apitoken',
  'assertion',
  'authkey',
  'authorization',
  'authtoken',
  'bearertoken',
  'clientassertion',
  'clientsecret',
  'codeverifier',
  'cookie',
  'credential',
  'devicecode',
  'dpop',
  'encryptionkey',
  'idtoken',
  'idtokenhint',
  'logintoken',
  'logouttoken',
  'mcpsessionid',
  'passphrase',
  'passwd',
  'password',
  'privatekey',
  'proxyauthorization',
  'pwd',
  'refreshtoken',
  'registrationaccesstoken',
  'secret',
  'secretaccesskey',
  'secretkey',
  'sessiontoken',
  'setcookie',
  'signingkey',
  'subjecttoken',
  'token',
  'userpassword',
  'webhooksecret'
])

const endings = /[_-](?:key|token|secret|password|passwd|passphrase)$/

/** Whether what stands under this key of an object, a form or a log line is a secret. `code` is one in URLs and forms only. */
export function isSecretKey(key: string): boolean {
  const lower = key.toLowerCase()
  return endings.test(lower) || names.has(lower.replace(/[_-]/g, ''))
}

// Words that are used for anything elsewhere. In a URL they are a code (OAuth), a key (Google), a signature that opens what it signs (Azure, S3), a ticket.
const parameters: ReadonlySet<string> = new Set(['auth', 'code', 'jwt', 'key', 'pass', 'samlresponse', 'sig', 'signature'])
const parameterEndings = /[_-]signature$/
// `token[]`, `user[password]`.
const inBrackets = /(?:^|\[)([^[\]]+)\]?(?:\[\])?$/

/** Whether this parameter of a URL or form is a secret. */
export function isSecretParameter(name: string): boolean {
  const bare = inBrackets.exec(name)?.[1] ?? name
  const lower = bare.toLowerCase()
  return parameters.has(lower) || parameterEndings.test(lower) || isSecretKey(bare)
}

/** The last three letters of every secret key, so that almost every other key is passed over without being looked at. */
export const keyEndings: readonly string[] = [
  ...new Set([...names, ...parameters, 'key', 'token', 'secret', 'password', 'passwd', 'passphrase'].map((name) => name.slice(-3)))
]

const sensitiveHeaders: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie'])

/** Whether a header's value is always a secret. `name` in any case. */
export function isSensitiveHeader(name: string): boolean {
  return sensitiveHeaders.has(name.toLowerCase())
}

const credentialHeaders: ReadonlySet<string> = new Set(['signature', 'dpop', 'mcp-session-id', 'cf-access-jwt-assertion'])
const credentialEndings = /-(?:token|key|secret)$|-auth/
// A challenge is no credential, and is what one needs to see.
const challengeHeaders: ReadonlySet<string> = new Set(['www-authenticate', 'proxy-authenticate'])

/** Whether a header is named like one that carries a credential. `name` in any case. */
export function isCredentialHeader(name: string): boolean {
  const lower = name.toLowerCase()
  if (challengeHeaders.has(lower) || sensitiveHeaders.has(lower)) return false
  return credentialHeaders.has(lower) || credentialEndings.test(lower) || isSecretKey(lower)
}

/** What a header's name says about its value. */
export type HeaderKind = 'sensitive' | 'credential' | 'plain'

/** The same few headers are on every request. */
export const headerKind: (name: string) => HeaderKind = remembered((name) =>
  isSensitiveHeader(name) ? 'sensitive' : isCredentialHeader(name) ? 'credential' : 'plain'
)

/** What a key in running text says about its value: that of a sensitive header, a secret, a secret in parameters only, or nothing. */
export type KeyKind = 'header' | 'secret' | 'parameter' | 'plain'

/** The same few keys are on every line of a log. */
export const keyKind: (key: string) => KeyKind = remembered((key) =>
  isSensitiveHeader(key) ? 'header' : isSecretKey(key) ? 'secret' : isSecretParameter(key) ? 'parameter' : 'plain'
)

const maxRemembered = 1_000

function remembered<Kind>(kindOf: (name: string) => Kind): (name: string) => Kind {
  const kinds = new Map<string, Kind>()
  return (name) => {
    const known = kinds.get(name)
    if (known !== undefined) return known
    const kind = kindOf(name)
    // Whoever makes up names must not fill the memory.
    if (kinds.size >= maxRemembered) kinds.clear()
    kinds.set(name, kind)
    return kind
  }
}

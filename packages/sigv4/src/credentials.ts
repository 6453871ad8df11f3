import { commandWord, type Environment, invalidOption, McpAuthError, safeText, secrets } from '@mcpauth/core'
import { awsFileNames, awsFiles } from './aws-profile.ts'

/** Keys of AWS; the form in which the providers of the AWS SDK give them. */
export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
  /** When the session ends. Absent: unknown, or never. */
  readonly expiration?: Date | undefined
}

/** Gives credentials whenever it is asked; the cache around it decides when that is. */
export type AwsCredentialsProvider = () => AwsCredentials | Promise<AwsCredentials>

/**
 * Where credentials come from.
 * - `'env'`: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_CREDENTIAL_EXPIRATION.
 * - `{ profile }`: a profile of AWS's files: static keys, `source_profile` and `role_arn`, SSO, `credential_process`, web identity.
 * - `'chain'`: the AWS SDK's default chain: the environment, the files, the container, the instance.
 * - a function, such as a provider of the AWS SDK.
 */
export type AwsCredentialsOption = 'env' | 'chain' | { readonly profile: string } | AwsCredentialsProvider

/** A source of credentials, checked and with its secrets registered. */
export interface CredentialsSource {
  /** How errors name it. */
  readonly name: string
  /** @throws `MCPAUTH_AWS_CREDENTIALS` */
  fetch(): Promise<AwsCredentials>
}

/**
 * Makes the source that an option names. Packages of the AWS SDK are imported when it is first asked, and only those of its kind.
 *
 * @throws `MCPAUTH_INVALID_OPTION`
 */
export function credentialsSource(option: AwsCredentialsOption, env: Environment): CredentialsSource {
  if (option === 'env') return source('the environment', () => fromEnvironment(env), 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY')
  if (option === 'chain') return source('the default chain', () => fromChain(env), 'log in with: aws sso login, or set AWS_PROFILE')
  if (typeof option === 'function') return source('the credentials function', option, 'look into the function given as credentials')
  const profile: unknown = typeof option === 'object' && option !== null ? option.profile : undefined
  if (typeof profile !== 'string' || profile === '') {
    throw invalidOption('credentials', "is not 'env', 'chain', { profile } or a function", "pass credentials: { profile: 'prod' }, say")
  }
  return source(
    `the profile ${safeText(JSON.stringify(profile))} of ${awsFileNames(env)}`,
    () => fromProfile(profile, env),
    `check the profile with: aws sts get-caller-identity --profile ${commandWord(profile, '<name>')}; an SSO profile wants: aws sso login`
  )
}

function source(name: string, provider: AwsCredentialsProvider, hint: string): CredentialsSource {
  async function fetch(): Promise<AwsCredentials> {
    let given: AwsCredentials
    try {
      given = await provider()
    } catch (error) {
      if (McpAuthError.is(error)) throw error
      // Never chained: a credential_process fails with its whole command line and what it printed.
      throw new McpAuthError('MCPAUTH_AWS_CREDENTIALS', `no credentials from ${name}${reasonOf(error)}`, { hint })
    }
    return checked(given, name)
  }
  return { name, fetch }
}

function fromEnvironment(env: Environment): AwsCredentials {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env
  if (!accessKeyId || !secretAccessKey) {
    const missing = [...(accessKeyId ? [] : ['AWS_ACCESS_KEY_ID']), ...(secretAccessKey ? [] : ['AWS_SECRET_ACCESS_KEY'])]
    throw new McpAuthError('MCPAUTH_AWS_CREDENTIALS', `no credentials from the environment: ${missing.join(' and ')} not set`, {
      hint: "set them, or use credentials: 'chain' or { profile }"
    })
  }
  return {
    accessKeyId,
    secretAccessKey,
    sessionToken: env.AWS_SESSION_TOKEN || undefined,
    expiration: env.AWS_CREDENTIAL_EXPIRATION ? new Date(env.AWS_CREDENTIAL_EXPIRATION) : undefined
  }
}

async function fromProfile(profile: string, env: Environment): Promise<AwsCredentials> {
  const { fromIni } = await import('@aws-sdk/credential-provider-ini')
  return await fromIni({ profile, ...awsFiles(env), ignoreCache: true, logger: silent })()
}

async function fromChain(env: Environment): Promise<AwsCredentials> {
  const { defaultProvider } = await import('@aws-sdk/credential-provider-node')
  // A new chain each time: it keeps what it found, and we ask only when that will no longer do.
  const profile = env.AWS_PROFILE ? { profile: env.AWS_PROFILE } : {}
  return await defaultProvider({ ...profile, ...awsFiles(env), ignoreCache: true, logger: silent })()
}

/** The SDK's chain otherwise warns on the console of a host that did not ask for it. */
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing, trace: nothing }
function nothing(): void {}

/** Printable, without spaces: they stand in headers, and a secret with a line break would sign what no service accepts. */
const headerSafe = /^[\x21-\x7e]+$/

function checked(given: AwsCredentials, name: string): AwsCredentials {
  const { accessKeyId, secretAccessKey, sessionToken, expiration } = given ?? {}
  const bad =
    typeof accessKeyId !== 'string' || !headerSafe.test(accessKeyId)
      ? 'accessKeyId'
      : typeof secretAccessKey !== 'string' || !headerSafe.test(secretAccessKey)
        ? 'secretAccessKey'
        : sessionToken !== undefined && (typeof sessionToken !== 'string' || !headerSafe.test(sessionToken))
          ? 'sessionToken'
          : undefined
  if (bad !== undefined) {
    throw new McpAuthError('MCPAUTH_AWS_CREDENTIALS', `the ${bad} from ${name} cannot be used`, {
      hint: 'it is missing, empty, or holds characters that no key has (a line break, a quote): correct it where it is kept'
    })
  }
  secrets.add(secretAccessKey, 'aws secret access key')
  if (sessionToken !== undefined) secrets.add(sessionToken, 'aws session token')
  const valid = expiration instanceof Date && !Number.isNaN(expiration.getTime())
  return { accessKeyId, secretAccessKey, sessionToken, expiration: valid ? expiration : undefined }
}

/** Sentences of the AWS SDK that name a profile, a file or a host, and never what is in them. */
const quotable: readonly RegExp[] = [
  /^Could not resolve credentials using profile: \[[^\]]*\] in configuration\/credentials file\(s\)\.?$/,
  /^Could not load credentials from any providers$/,
  /^Profile .{1,100} requires multi-factor authentication, but no MFA code callback was provided\.$/,
  /^Detected a cycle attempting to resolve credentials for profile/,
  /^The SSO session (?:token )?associated with this profile (?:has expired|was not found or is invalid)/,
  /^Profile .{1,100} (?:was not found|could not be found)/,
  /^Token is expired/
]

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : ''
  return quotable.some((pattern) => pattern.test(message)) ? `: ${safeText(secrets.redact(message))}` : ''
}

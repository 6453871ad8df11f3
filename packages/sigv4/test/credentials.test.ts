import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { inspect } from 'node:util'
import { McpAuthError, secrets } from '@mcpauth/core'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { readProfile } from '../src/aws-profile.ts'
import { type AwsCredentials, type AwsCredentialsOption, credentialsSource } from '../src/credentials.ts'

let folder: string
let env: Record<string, string>

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mcpauth-sigv4-'))
  env = { AWS_SHARED_CREDENTIALS_FILE: join(folder, 'credentials'), AWS_CONFIG_FILE: join(folder, 'config') }
  // The SDK's providers look at process.env themselves; nothing of this machine may reach them.
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) vi.stubEnv(name, undefined)
  vi.stubEnv('HOME', folder)
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
})

afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

function files(credentials: string, config = ''): void {
  writeFileSync(join(folder, 'credentials'), credentials)
  writeFileSync(join(folder, 'config'), config)
}

function fetchFrom(option: AwsCredentialsOption): Promise<AwsCredentials> {
  return credentialsSource(option, env).fetch()
}

async function failure(option: AwsCredentialsOption): Promise<McpAuthError> {
  const error = await fetchFrom(option).then(
    () => undefined,
    (reason: unknown) => reason
  )
  expect(McpAuthError.is(error)).toBe(true)
  return error as McpAuthError
}

describe("'env'", () => {
  it('reads keys, session token and expiration, and registers the secrets', async () => {
    Object.assign(env, {
      AWS_ACCESS_KEY_ID: 'AKIDENV',
      AWS_SECRET_ACCESS_KEY: 'credentials-test-env-secret',
      AWS_SESSION_TOKEN: 'credentials-test-env-token',
      AWS_CREDENTIAL_EXPIRATION: '2030-01-01T00:00:00Z'
    })
    expect(await fetchFrom('env')).toEqual({
      accessKeyId: 'AKIDENV',
      secretAccessKey: 'credentials-test-env-secret',
      sessionToken: 'credentials-test-env-token',
      expiration: new Date('2030-01-01T00:00:00Z')
    })
    const redacted = secrets.redact('credentials-test-env-secret credentials-test-env-token')
    expect(redacted).not.toContain('credentials-test')
  })

  it('names the variables that are not set', async () => {
    env.AWS_ACCESS_KEY_ID = 'AKIDENV'
    expect(await failure('env')).toMatchObject({
      code: 'MCPAUTH_AWS_CREDENTIALS',
      message: 'no credentials from the environment: AWS_SECRET_ACCESS_KEY not set'
    })
  })

  it.each(['line\r\nX-Injected: 1', 'nul\u0000', 'J\u00f6rg', ' '])(
    'T16: refuses a key that cannot stand in a header, and does not quote it: %j',
    async (value) => {
      Object.assign(env, { AWS_ACCESS_KEY_ID: value, AWS_SECRET_ACCESS_KEY: 'x' })
      const error = await failure('env')
      expect(error.message).toBe('the accessKeyId from the environment cannot be used')
    }
  )
})

describe('{ profile }', () => {
  it('reads [x] of the credentials file and [profile x] of the config file', async () => {
    files(
      '[one]\naws_access_key_id = AKIDONE\naws_secret_access_key = credentials-test-one\n',
      '[profile one]\nregion = eu-west-1\n[profile two]\naws_access_key_id = AKIDTWO\naws_secret_access_key = credentials-test-two\naws_session_token = credentials-test-two-token\nregion = us-west-2\n'
    )
    expect(await fetchFrom({ profile: 'one' })).toMatchObject({ accessKeyId: 'AKIDONE' })
    expect(await fetchFrom({ profile: 'two' })).toMatchObject({ accessKeyId: 'AKIDTWO', sessionToken: 'credentials-test-two-token' })
    expect(await readProfile('one', env)).toEqual({ exists: true, region: 'eu-west-1' })
    expect(await readProfile('two', env)).toEqual({ exists: true, region: 'us-west-2' })
    expect(await readProfile('__proto__', env)).toEqual({ exists: false, region: undefined })
  })

  it("takes the credentials file's region before the config file's", async () => {
    files('[one]\nregion = us-east-1\n', '[profile one]\nregion = eu-west-1\n')
    expect((await readProfile('one', env)).region).toBe('us-east-1')
  })

  it('reads the files anew each time, so that a login beside this process is seen', async () => {
    files('[one]\naws_access_key_id = AKIDBEFORE\naws_secret_access_key = credentials-test-before\n')
    const source = credentialsSource({ profile: 'one' }, env)
    expect((await source.fetch()).accessKeyId).toBe('AKIDBEFORE')
    files('[one]\naws_access_key_id = AKIDAFTER\naws_secret_access_key = credentials-test-after\n')
    expect((await source.fetch()).accessKeyId).toBe('AKIDAFTER')
  })

  it('runs a credential_process', async () => {
    const script = join(folder, 'process.mjs')
    writeFileSync(
      script,
      `console.log(JSON.stringify({ Version: 1, AccessKeyId: 'AKIDPROCESS', SecretAccessKey: 'credentials-test-process', SessionToken: 'credentials-test-process-token', Expiration: '2099-01-01T00:00:00Z' }))`
    )
    files('', `[profile p]\ncredential_process = ${process.execPath} ${script}\n`)
    expect(await fetchFrom({ profile: 'p' })).toEqual({
      accessKeyId: 'AKIDPROCESS',
      secretAccessKey: 'credentials-test-process',
      sessionToken: 'credentials-test-process-token',
      expiration: new Date('2099-01-01T00:00:00Z')
    })
  })

  it('T13: tells nothing of the command line and the output of a credential_process that fails', async () => {
    files('', `[profile p]\ncredential_process = ${process.execPath} -e "console.error('canary-output');process.exit(1)" canary-argument\n`)
    const error = await failure({ profile: 'p' })
    expect(error).toMatchObject({
      code: 'MCPAUTH_AWS_CREDENTIALS',
      message: expect.stringContaining('no credentials from the profile "p" of')
    })
    expect(inspect(error, { showHidden: true, depth: 9 })).not.toContain('canary')
  })

  it('says which profile is not there, and in which files', async () => {
    files('')
    const error = await failure({ profile: 'gone' })
    expect(error.message).toContain(`the profile "gone" of ${env.AWS_SHARED_CREDENTIALS_FILE} and ${env.AWS_CONFIG_FILE}`)
    expect(error.message).toContain('Could not resolve credentials using profile: [gone]')
  })
})

describe('with a server beside it', () => {
  let server: Server
  let seen: Array<{ url: string; body: string; authorization: string | undefined }>
  let origin: string

  beforeEach(async () => {
    seen = []
    server = createServer(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      const { url = '', headers } = request
      seen.push({ url, body, authorization: headers.authorization })
      if (url.startsWith('/container')) {
        const answer = {
          AccessKeyId: 'AKIDCONTAINER',
          SecretAccessKey: 'credentials-test-container',
          Token: 'credentials-test-container-token',
          Expiration: '2099-01-01T00:00:00Z'
        }
        response.setHeader('content-type', 'application/json').end(JSON.stringify(answer))
      } else {
        response.setHeader('content-type', 'text/xml').end(stsAnswer(new URLSearchParams(body).get('Action') as string))
      }
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    vi.stubEnv('AWS_ENDPOINT_URL_STS', origin)
    vi.stubEnv('AWS_REGION', 'eu-central-1')
  })

  afterEach(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })

  function stsAnswer(action: string): string {
    return `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result><Credentials><AccessKeyId>AKIDROLE</AccessKeyId><SecretAccessKey>credentials-test-role</SecretAccessKey><SessionToken>credentials-test-role-token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>x</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn></AssumedRoleUser></${action}Result></${action}Response>`
  }

  it.each([
    ['gone', '--profile gone;'],
    ['gone;id', '--profile <name>;']
  ])('T14: of the profile %s, the command that checks it has no more than a shell reads as one word', async (profile, expected) => {
    files('', '')
    expect((await failure({ profile })).hint).toContain(expected)
  })

  it('assumes a role_arn with the keys of its source_profile', async () => {
    files(
      '[base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = credentials-test-base\n',
      '[profile prod]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\nregion = eu-central-1\n'
    )
    expect(await fetchFrom({ profile: 'prod' })).toMatchObject({ accessKeyId: 'AKIDROLE', sessionToken: 'credentials-test-role-token' })
    expect(seen[0]?.body).toContain('Action=AssumeRole&')
    expect(seen[0]?.authorization).toContain('Credential=AKIDBASE/')
  })

  it('assumes a role with a web identity', async () => {
    writeFileSync(join(folder, 'token'), 'credentials.test.jwt')
    files(
      '',
      `[profile wi]\nrole_arn = arn:aws:iam::123456789012:role/r\nweb_identity_token_file = ${join(folder, 'token')}\nregion = eu-central-1\n`
    )
    expect(await fetchFrom({ profile: 'wi' })).toMatchObject({ accessKeyId: 'AKIDROLE' })
    expect(seen[0]?.body).toContain('Action=AssumeRoleWithWebIdentity')
  })

  it("'chain' takes the environment, then the profile, then the container", async () => {
    files('[default]\naws_access_key_id = AKIDDEFAULT\naws_secret_access_key = credentials-test-default\n')
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDCHAIN')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'credentials-test-chain')
    expect((await fetchFrom('chain')).accessKeyId).toBe('AKIDCHAIN')
    vi.stubEnv('AWS_ACCESS_KEY_ID', undefined)
    expect((await fetchFrom('chain')).accessKeyId).toBe('AKIDDEFAULT')
    files('')
    vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `${origin}/container`)
    expect(await fetchFrom('chain')).toMatchObject({ accessKeyId: 'AKIDCONTAINER', expiration: new Date('2099-01-01T00:00:00Z') })
  })
})

it("'chain' with nothing anywhere is our error", async () => {
  files('')
  expect(await failure('chain')).toMatchObject({ code: 'MCPAUTH_AWS_CREDENTIALS' })
})

it("'chain' prints nothing, not even about a profile beside keys in the environment", async () => {
  const warn = vi.spyOn(console, 'warn').mockReturnValue()
  files('[one]\naws_access_key_id = AKIDONE\naws_secret_access_key = credentials-test-one\n')
  for (const [name, value] of Object.entries({ AWS_PROFILE: 'one', AWS_ACCESS_KEY_ID: 'AKIDCHAIN', AWS_SECRET_ACCESS_KEY: 'x' })) {
    vi.stubEnv(name, value)
    env[name] = value
  }
  expect((await fetchFrom('chain')).accessKeyId).toBe('AKIDONE')
  expect(warn).not.toHaveBeenCalled()
  warn.mockRestore()
})

it('a function that throws is our error, without its words', async () => {
  const error = await failure(() => {
    throw new Error('canary-in-a-message')
  })
  expect(error.message).toBe('no credentials from the credentials function')
  expect(inspect(error, { showHidden: true })).not.toContain('canary')
})

it.each([
  undefined,
  null,
  {},
  { accessKeyId: 'A' },
  { accessKeyId: 1, secretAccessKey: 's' },
  { ...{ accessKeyId: 'A', secretAccessKey: 's' }, sessionToken: 5 }
])('a function that gives no credentials is our error: %j', async (given) => {
  expect(await failure(() => given as never)).toMatchObject({ code: 'MCPAUTH_AWS_CREDENTIALS' })
})

const corpus = resolve(process.env.MCPAUTH_VECTORS ?? '../shared/vectors', 'aws-profiles')
const present = existsSync(corpus)

describe.skipIf(!present)('T12: no file of the corpus crashes', () => {
  const names = present ? readdirSync(corpus) : []

  it('holds 8 files', () => expect(names).toHaveLength(8))

  it.each(names)('%s', async (name) => {
    const file = join(corpus, name)
    for (const place of [{ AWS_CONFIG_FILE: file }, { AWS_SHARED_CREDENTIALS_FILE: file }]) {
      Object.assign(env, { AWS_SHARED_CREDENTIALS_FILE: join(folder, 'none'), AWS_CONFIG_FILE: join(folder, 'none') }, place)
      for (const profile of ['default', 'personal', 'personal1', 'my profile', 'missing end quote', '__proto__', 'constructor']) {
        await readProfile(profile, env)
        const outcome = await fetchFrom({ profile }).catch((error: unknown) => error)
        expect(McpAuthError.is(outcome) || typeof (outcome as AwsCredentials).secretAccessKey === 'string').toBe(true)
      }
    }
    expect(Object.keys(Object.prototype)).toEqual([])
  })

  it('reads what the good ones hold', async () => {
    env.AWS_CONFIG_FILE = join(corpus, 'aws_config')
    expect(await fetchFrom({ profile: 'personal' })).toMatchObject({ accessKeyId: 'fie', secretAccessKey: 'baz' })
    env.AWS_CONFIG_FILE = join(corpus, 'aws_config_nested')
    expect((await readProfile('default', env)).region).toBe('us-west-2')
    env.AWS_CONFIG_FILE = join(corpus, 'aws_config_nocreds')
    expect((await readProfile('default', env)).region).toBe('us-west-2')
  })
})

import { generateKeyPairSync } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { McpAuthError, secrets } from '@mcpauth/core'
import { expect, onTestFinished, test } from 'vitest'
import { clientCredentials } from '../src/index.ts'
import { checkSecretSource, readSecret, type SecretSource } from '../src/secret-source.ts'
import { scene } from './small-servers.ts'

function fileWith(content: string, mode = 0o600): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcpauth-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'secret')
  writeFileSync(file, content)
  chmodSync(file, mode)
  return file
}

function eventsNamed(name: string): unknown[] {
  const events: unknown[] = []
  const listener = (event: unknown): void => void events.push(event)
  subscribe(name, listener)
  onTestFinished(() => void unsubscribe(name, listener))
  return events
}

test.each<[string, () => SecretSource, string]>([
  ['a variable', () => ({ env: 'NAME' }), 'the-secret-of-a-variable'],
  ['a file, without its last newline', () => ({ file: fileWith('the-secret-of-a-file\n') }), 'the-secret-of-a-file'],
  ['a file, without its last Windows newline', () => ({ file: fileWith('the-secret-of-windows\r\n') }), 'the-secret-of-windows'],
  ['a file of several lines, which keeps the others', () => ({ file: fileWith('one-line\nanother-line\n\n') }), 'one-line\nanother-line\n'],
  ['a function', () => () => 'the-secret-of-a-function', 'the-secret-of-a-function'],
  ['a slow function', () => async () => 'the-secret-that-took-long', 'the-secret-that-took-long']
])('a secret is read from %s, and is known as one from then on', async (_name, source, expected) => {
  expect(await readSecret('client.clientSecret', source(), { NAME: 'the-secret-of-a-variable' })).toBe(expected)
  expect(secrets.redact(`it is ${expected}`)).not.toContain(expected)
})

test.each<[string, () => SecretSource, RegExp]>([
  ['a variable that is not set', () => ({ env: 'NAME' }), /NAME is not set/],
  ['a variable that is empty', () => ({ env: 'EMPTY' }), /EMPTY is empty/],
  [
    'a file that is not there',
    () => ({ file: join(tmpdir(), 'no-such-file-of-mcpauth') }),
    /no-such-file-of-mcpauth cannot be read \(ENOENT\)/
  ],
  ['an empty file', () => ({ file: fileWith('\n') }), /is empty/],
  ['a folder', () => ({ file: tmpdir() }), /is not a file/],
  ['a file that is no secret', () => ({ file: fileWith('x'.repeat(65_537)) }), /larger than 64 KiB/],
  ['a function that gives nothing', () => (() => undefined) as never, /the function given as grant\.token gave nothing/],
  ['a function that gives an empty text', () => () => '', /gave nothing/]
])('%s is an error that says so', async (_name, source, message) => {
  await expect(readSecret('grant.token', source(), { EMPTY: '' })).rejects.toMatchObject({
    code: 'MCPAUTH_CREDENTIAL_MISSING',
    message: expect.stringMatching(message),
    hint: expect.any(String)
  })
})

test('T13: what a function throws is neither chained nor quoted', async () => {
  const failing = (): never => {
    throw Object.assign(new Error('the vault of hunter2hunter2 is closed'), { token: 'correct horse battery staple' })
  }
  const error = await readSecret('client.clientSecret', failing, {}).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({
    code: 'MCPAUTH_CREDENTIAL_MISSING',
    message: 'the function given as client.clientSecret has thrown an error'
  })
  expect(inspect(error, { showHidden: true, depth: 9 })).not.toMatch(/hunter2|horse/)
})

test.each([
  ['a literal', 'hunter2hunter2'],
  ['nothing', null],
  ['neither', {}],
  ['both', { env: 'NAME', file: 'path' }],
  ['a secret in the place of a variable’s name', { env: 'hunter2-hunter2' }],
  ['an empty variable', { env: '' }],
  ['an empty path', { file: '' }],
  ['a path with NUL', { file: 'hunter2\0hunter2' }]
])('%s is refused at construction, and not quoted', (_name, source) => {
  expect(() => checkSecretSource('client.clientSecret', source)).toThrow(
    expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.not.stringContaining('hunter2') })
  )
})

test.each<[string, unknown]>([
  ['client.clientSecret:', {}],
  ['client.clientSecret.env:', { env: 'not a name' }],
  ['client.clientSecret.file:', { file: '' }],
  ['client.clientSecret.file:', { file: 5 }]
])('what is refused is named to the letter: option %s', (name, source) => {
  expect(() => checkSecretSource('client.clientSecret', source)).toThrow(`option ${name}`)
})

test.each<[string, unknown]>([
  ['a variable', { env: 'NAME' }],
  ['a file', { file: '/run/secrets/one' }],
  ['a function', () => 'secret']
])('%s is a source of a secret', (_name, source) => {
  expect(() => checkSecretSource('client.clientSecret', source)).not.toThrow()
})

test('T13: a secret is printed as the name of its option', async () => {
  await readSecret('client.clientSecret', () => 'the-secret-with-a-name', {})
  expect(secrets.redact('the-secret-with-a-name')).toBe('[REDACTED:client.clientSecret]')
})

test('an error names its option before the variable, and is otherwise the one that it was', async () => {
  const known = await readSecret('grant.token', { env: 'NAME' }, {}).catch((error: unknown) => error)
  expect(known).toMatchObject({ message: 'grant.token: the environment variable NAME is not set', hint: expect.stringContaining('NAME') })
  const own = new RangeError('the environment is closed')
  const closed = new Proxy(
    {},
    {
      get: () => {
        throw own
      }
    }
  )
  await expect(readSecret('grant.token', { env: 'NAME' }, closed)).rejects.toBe(own)
})

test('an error of ours that a function throws is handed on as it is', async () => {
  const own = new McpAuthError('MCPAUTH_NETWORK', 'the vault does not answer')
  await expect(readSecret('grant.token', () => Promise.reject(own), {})).rejects.toBe(own)
})

test.skipIf(process.platform === 'win32')(
  'T23: a client’s private key that others can read is an event with its file and mode',
  async () => {
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    await using world = await scene()
    for (const [mode, expected] of [
      [0o600, []],
      [0o640, ['0640']]
    ] as const) {
      const file = fileWith(pem, mode)
      const warnings = eventsNamed('mcpauth:key:warning')
      const options = { grant: clientCredentials(), client: { clientId: 'robot', privateKey: { file } }, profile: `mode-${mode}` }
      expect(await world.post(world.fetchWith(options))).toBe(200)
      expect(warnings.map((warning) => (warning as { mode: string }).mode)).toEqual(expected)
      expect(warnings).toEqual(expected.map(() => expect.objectContaining({ file })))
    }
  }
)

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to environment variables are written so.
import { expect, test } from 'vitest'
import { checkReferences, checkVariableName, expandVariables, readVariable } from '../src/environment.ts'

test('a variable is read when it is asked for; one that is not set, empty or inherited is missing, and named', () => {
  const environment: Record<string, string> = { TOKEN: 'a' }
  expect(readVariable('TOKEN', environment)).toBe('a')
  environment.TOKEN = ''
  for (const [name, state] of [
    ['TOKEN', 'empty'],
    ['OTHER', 'not set'],
    ['constructor', 'not set']
  ] as const) {
    expect(() => readVariable(name, environment)).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_CREDENTIAL_MISSING', message: `the environment variable ${name} is ${state}` })
    )
  }
})

test('T13: a token that was given in the place of a name, and could be one, is not quoted; a name is, however long', () => {
  for (const token of ['ghp_16C7e42F292c6912E7710c838347Ae178B4a', '4bf92f3577b34da6a3ce929d0e0e4736', 'a1'.repeat(10)]) {
    expect(() => readVariable(token, {})).toThrow(
      expect.objectContaining({
        code: 'MCPAUTH_CREDENTIAL_MISSING',
        message: expect.not.stringContaining(token),
        hint: expect.not.stringContaining(token)
      })
    )
  }
  for (const name of ['A_LONG_NAME_OF_A_TOKEN_2', 'npm_config_of_the_registry', 'a1a1a1a1a1a1a1a1a1a', '${STAGE}_of_the_token_2']) {
    expect(() => readVariable(name, {})).toThrow(`the environment variable ${name} is not set`)
  }
})

test('each reference in a template is replaced, and what comes in its place is not read again', () => {
  const values: Record<string, string> = { A: '${B}', B: 'b' }
  expect(expandVariables('x${A}y${B}z$A{B}', (name) => values[name] as string)).toBe('x${B}ybz$A{B}')
})

test.each(['TOKEN', '_a9', '${AGENT}_TOKEN', 'TOKEN_${AGENT}', '${AGENT}'])('%s can name a variable', (name) => {
  expect(() => checkVariableName('env', name)).not.toThrow()
})

test.each(['secret-token', '9A', 'A B', '', 'A$', ' A', '${}', '${A', '${A}-${B}', '${9}', '${A-B}X', undefined, 7])(
  '%j can name none, and is not quoted',
  (name) => {
    expect(() => checkVariableName('env', name)).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringMatching(/^option env: (is not the name|holds a)/) })
    )
  }
)

test('every reference in a template is checked, the last one too', () => {
  expect(() => checkReferences('value', 'plain $A {B} ${C} and ${D_1}')).not.toThrow()
  for (const template of ['${', '${}', '${A', '${A} ${b c}', '${A B}']) {
    expect(() => checkReferences('value', template)).toThrow(
      expect.objectContaining({ code: 'MCPAUTH_INVALID_OPTION', message: expect.stringMatching(/^option value:/) })
    )
  }
})

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

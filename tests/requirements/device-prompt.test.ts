// What a person is told to open and to type comes from a server, which may be hostile.
import { type DevicePrompt, deviceLogin, oauthTokens } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { describe, expect, test } from 'vitest'
import { startAuthorizationServer, startMcpServerV2 } from '../servers/index.ts'

const esc = '\u001b'

/** What is shown when the server answers so, and how the login ends; showing it ends the login here. */
async function shown(answer: object): Promise<{ prompts: DevicePrompt[]; error: unknown }> {
  await using as = await startAuthorizationServer({ deviceFlow: true })
  await using server = await startMcpServerV2({ authorizationServer: as })
  const body = {
    device_code: 'a-device-code',
    user_code: 'WDJB-MJHT',
    verification_uri: 'https://as.example.com/device',
    expires_in: 600,
    ...answer
  }
  as.fault('device', { kind: 'status', status: 200, body: JSON.stringify(body) })
  const prompts: DevicePrompt[] = []
  const show = (prompt: DevicePrompt): void => {
    prompts.push(prompt)
    throw new Error('shown')
  }
  const error = await oauthTokens(server.url, { grant: deviceLogin({ show }), store: memoryStore() })
    .login()
    .catch((caught: unknown) => caught)
  return { prompts, error }
}

const notTheWeb = ['javascript:alert(1)', 'file:///etc/passwd', 'data:text/html,x', 'ssh://-oProxyCommand=calc/', 'not a URL', '', 7, null]

describe('N35 N40: a person is sent to the web and nowhere else', () => {
  test.each(notTheWeb)('not to %j, which ends the login before anything is shown', async (verification_uri) => {
    const { prompts, error } = await shown({ verification_uri })
    expect(prompts).toEqual([])
    expect(error).toMatchObject({ code: 'MCPAUTH_OAUTH_RESPONSE' })
  })

  test.each(notTheWeb)('not to %j as the address with the code in it, which is left out', async (verification_uri_complete) => {
    const { prompts } = await shown({ verification_uri_complete })
    expect(prompts).toMatchObject([{ verificationUri: 'https://as.example.com/device', verificationUriComplete: undefined }])
  })
})

test('T14 N40: terminal escapes in the code and the addresses are not shown', async () => {
  const { prompts } = await shown({
    user_code: `WD${esc}[2J${esc}]8;;https://evil.example${esc}\\JB\u202e\n2`,
    verification_uri: `https://as.example.com/${esc}[31mdevice\u202e`,
    verification_uri_complete: `https://as.example.com/device?user_code=${esc}]0;x\u0007`
  })
  expect(prompts).toHaveLength(1)
  expect(Object.values(prompts[0] as DevicePrompt).join(' ')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/)
  expect(prompts[0]?.userCode.length).toBeLessThanOrEqual(41)
})

import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type ProfileRegion, resolveScope, scopeFromHost } from '../src/region-and-service.ts'

const file = resolve(process.env.MCPAUTH_VECTORS ?? '../shared/vectors', 'sigv4/service-region-from-host.json')
const present = existsSync(file)
const cases: Array<{ host: string; service: string; region: string }> = present ? JSON.parse(readFileSync(file, 'utf8')) : []

/** AWS's own model of IoT signs its control plane for `iot`; the table keeps a name it had years ago. */
const disagreements: Readonly<Record<string, string>> = { 'iot.us-west-2.amazonaws.com': 'iot' }

describe.skipIf(!present)('the table of hosts', () => {
  it('holds 35 hosts', () => expect(cases).toHaveLength(35))

  it.each(cases.map((entry) => [entry.host, entry]))('%s', (_, { host, service, region }) => {
    const { hostname } = new URL(`https://${host}`)
    expect(scopeFromHost(hostname)).toEqual({ region, service: disagreements[host] ?? service })
  })
})

describe('hosts behind which MCP servers stand', () => {
  it.each([
    ['abc123.execute-api.eu-central-1.amazonaws.com', 'execute-api', 'eu-central-1'],
    ['abc123.execute-api.cn-north-1.amazonaws.com.cn', 'execute-api', 'cn-north-1'],
    ['abc123-vpce-0a1b.execute-api.us-gov-west-1.amazonaws.com', 'execute-api', 'us-gov-west-1'],
    ['vpce-0a1b-xyz.execute-api.ap-southeast-2.vpce.amazonaws.com', 'execute-api', 'ap-southeast-2'],
    ['abcdef0123456789.lambda-url.us-east-2.on.aws', 'lambda', 'us-east-2'],
    ['bedrock-agentcore.us-west-2.amazonaws.com', 'bedrock-agentcore', 'us-west-2'],
    ['gw-1234.gateway.bedrock-agentcore.us-east-1.amazonaws.com', 'bedrock-agentcore', 'us-east-1'],
    ['bedrock-agentcore-control.us-east-1.amazonaws.com', 'bedrock-agentcore', 'us-east-1'],
    ['bedrock-runtime.eu-west-3.amazonaws.com', 'bedrock', 'eu-west-3'],
    ['aws-mcp.us-east-1.api.aws', 'aws-mcp', 'us-east-1'],
    ['search-docs-xyz.eu-west-1.es.amazonaws.com', 'es', 'eu-west-1'],
    ['kms.eusc-de-east-1.amazonaws.eu', 'kms', 'eusc-de-east-1']
  ])('%s', (host, service, region) => {
    expect(scopeFromHost(host)).toEqual({ service, region })
  })

  it.each([
    'mcp.example.com',
    'localhost',
    '127.0.0.1',
    'amazonaws.com',
    'amazonaws.com.example.org',
    'execute-api.eu-central-1.amazonaws.com.evil.io'
  ])('guesses nothing for %s', (host) => {
    expect(scopeFromHost(host)).toEqual({})
  })
})

describe('where the region comes from', () => {
  const server = new URL('https://abc.execute-api.eu-north-1.amazonaws.com/mcp')
  const profile = (named: boolean, region?: string): ProfileRegion => ({ place: 'the profile p', named, read: async () => region })
  const both = { AWS_REGION: 'us-east-1', AWS_DEFAULT_REGION: 'us-east-2' }

  it.each([
    ['the option', { region: 'sa-east-1', profile: profile(true, 'us-west-1'), env: both }, 'sa-east-1'],
    ['then the named profile', { profile: profile(true, 'us-west-1'), env: both }, 'us-west-1'],
    ['then AWS_REGION', { profile: profile(true), env: both }, 'us-east-1'],
    ['also before the default profile', { profile: profile(false, 'us-west-1'), env: both }, 'us-east-1'],
    ['then AWS_DEFAULT_REGION', { env: { AWS_DEFAULT_REGION: 'us-east-2' } }, 'us-east-2'],
    ['then the default profile', { profile: profile(false, 'us-west-1'), env: {} }, 'us-west-1'],
    ['then the host name', { env: {} }, 'eu-north-1']
  ])('%s', async (_, sources, region) => {
    expect(await resolveScope({ server, ...sources })).toMatchObject({ region, service: 'execute-api' })
  })

  it('says where it looked when the region is unknown', async () => {
    const here = new URL('https://mcp.example.com/mcp')
    await expect(async () => resolveScope({ server: here, service: 'lambda', profile: profile(true), env: {} })).rejects.toMatchObject({
      code: 'MCPAUTH_AWS_UNKNOWN_SCOPE',
      message:
        'no AWS region for https://mcp.example.com: looked at the option region, the profile p, AWS_REGION, AWS_DEFAULT_REGION and the host name mcp.example.com'
    })
  })

  it('says where it looked when the service is unknown', () => {
    expect(() => resolveScope({ server: new URL('https://mcp.example.com'), env: both })).toThrow(
      'no AWS service for https://mcp.example.com: looked at the option service and the host name mcp.example.com'
    )
  })

  it('refuses a region that would change the Authorization header', () => {
    expect(() => resolveScope({ server, env: { AWS_REGION: 'eu-west-1/s3/aws4_request, X=' } })).toThrow(
      'the region in AWS_REGION is not the name'
    )
  })
})

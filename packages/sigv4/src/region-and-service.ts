import { type Environment, McpAuthError } from '@mcpauth/core'
import type { SigningScope } from './signing-key.ts'

/** What a host name says; either may be missing. */
export type HostScope = Partial<SigningScope>

const regionName = /^(?:af|ap|ca|cn|eu|eusc|il|me|mx|sa|us)(?:-[a-z]+){1,2}-\d{1,2}$/

/** Where the name under which a service is signed for is not the one in its host name. */
const signingNames: Readonly<Record<string, string>> = {
  'appsync-api': 'appsync',
  'bedrock-agent': 'bedrock',
  'bedrock-agent-runtime': 'bedrock',
  'bedrock-agentcore-control': 'bedrock-agentcore',
  'bedrock-runtime': 'bedrock',
  cloudhsmv2: 'cloudhsm',
  email: 'ses',
  'lambda-url': 'lambda',
  marketplace: 'aws-marketplace',
  mobile: 'AWSMobileHubService',
  'mturk-requester-sandbox': 'mturk-requester',
  'personalize-runtime': 'personalize',
  queue: 'sqs',
  's3-external-1': 's3'
}

/**
 * The region and the service that the host name of an AWS endpoint tells. Not of AWS, or a custom domain: an empty answer.
 * An AWS endpoint without a region is a global one and is signed for us-east-1.
 */
export function scopeFromHost(hostname: string): HostScope {
  const host = hostname.toLowerCase()
  const labels = awsLabels(host)
  if (labels === undefined) return compatibleStore(host)
  const at = labels.findLastIndex((label) => regionName.test(label))
  if (at === -1) return withoutRegion(labels)
  // `search-x.us-east-1.es` and `us-west-2.queue` name the region first, everything newer the service.
  const service = at === labels.length - 1 ? labels[at - 1] : labels[at + 1]
  const region = labels[at] as string
  return service === undefined ? { region } : { region, service: signingName(service, labels) }
}

/** The labels before AWS's own domain. */
function awsLabels(host: string): string[] | undefined {
  const match = /^(.+?)\.(?:(?:vpce\.)?amazonaws\.com(?:\.cn)?|amazonaws\.eu|on\.aws|api\.aws|api\.amazonwebservices\.com\.cn)$/.exec(host)
  return match?.[1]?.split('.')
}

function withoutRegion(labels: readonly string[]): HostScope {
  const last = labels.at(-1) as string
  // `s3-us-gov-west-1` and `s3-fips-us-gov-west-1`: the older form of S3's hosts.
  const s3Region = /^s3-(?:fips-)?(.+)$/.exec(last)?.[1]
  if (s3Region !== undefined && regionName.test(s3Region)) return { region: s3Region, service: 's3' }
  return { region: 'us-east-1', service: signingName(last, labels) }
}

function signingName(label: string, labels: readonly string[]): string {
  const name = label.replace(/-fips$/, '')
  // A device endpoint of IoT is the data plane; `iot.<region>` alone is the control plane.
  if (name === 'iot' && labels.indexOf(label) > 0) return 'iotdata'
  return Object.hasOwn(signingNames, name) ? (signingNames[name] as string) : name
}

/** Stores that speak S3's protocol elsewhere. */
function compatibleStore(host: string): HostScope {
  const backblaze = /(?:^|\.)s3\.([a-z0-9-]+)\.backblazeb2\.com$/.exec(host)
  if (backblaze) return { region: backblaze[1] as string, service: 's3' }
  return host.endsWith('.r2.cloudflarestorage.com') ? { region: 'auto', service: 's3' } : {}
}

/** What is known of a profile when its region is asked for. */
export interface ProfileRegion {
  /** How an error names it. */
  readonly place: string
  /** The user named this profile; the default one yields to the environment, as in AWS's own tools. */
  readonly named: boolean
  read(): Promise<string | undefined>
}

/** Where region and service may come from. */
export interface ScopeSources {
  readonly server: URL
  readonly region?: string | undefined
  readonly service?: string | undefined
  readonly profile?: ProfileRegion | undefined
  readonly env: Environment
}

/** A scope, and where its region was found: the first question when a service refuses it. */
export interface ResolvedScope extends SigningScope {
  readonly regionFrom: string
}

interface Place {
  readonly name: string
  readonly look: () => string | undefined | Promise<string | undefined>
}

/**
 * Finds the service: the option, then the host name.
 *
 * @throws `MCPAUTH_AWS_UNKNOWN_SCOPE` it says where it looked.
 */
export function resolveService({ server, service }: ScopeSources): string {
  const found = service ?? scopeFromHost(server.hostname).service
  if (found !== undefined) return found
  throw unknown('service', server, ['the option service', `the host name ${server.hostname}`], "service: 'execute-api', say")
}

/**
 * Finds the region: the option, then the named profile's, AWS_REGION, AWS_DEFAULT_REGION, the default profile's, and the host name.
 * A promise only when a profile must be read.
 *
 * @throws `MCPAUTH_AWS_UNKNOWN_SCOPE` it says where it looked. Rejects with it when a profile was read.
 */
export function resolveScope(sources: ScopeSources): ResolvedScope | Promise<ResolvedScope> {
  const service = resolveService(sources)
  const places = placesOf(sources)

  function next(index: number): ResolvedScope | Promise<ResolvedScope> {
    const place = places[index]
    if (place === undefined)
      throw unknown(
        'region',
        sources.server,
        places.map(({ name }) => name),
        "region: 'eu-central-1', say"
      )
    const region = place.look()
    if (region instanceof Promise) return region.then((found) => (found ? resolved(found, place, service) : next(index + 1)))
    return region ? resolved(region, place, service) : next(index + 1)
  }
  return next(0)
}

function placesOf({ server, region, profile, env }: ScopeSources): Place[] {
  const ofProfile: Place[] = profile ? [{ name: profile.place, look: () => profile.read() }] : []
  return [
    { name: 'the option region', look: () => region },
    ...(profile?.named ? ofProfile : []),
    { name: 'AWS_REGION', look: () => env.AWS_REGION },
    { name: 'AWS_DEFAULT_REGION', look: () => env.AWS_DEFAULT_REGION },
    ...(profile?.named ? [] : ofProfile),
    { name: `the host name ${server.hostname}`, look: () => scopeFromHost(server.hostname).region }
  ]
}

const scopeName = /^[A-Za-z0-9_-]{1,64}$/

/** Whether a text can stand in a credential scope; anything else would be another header's value. */
export function isScopeName(text: unknown): text is string {
  return typeof text === 'string' && scopeName.test(text)
}

function resolved(region: string, place: Place, service: string): ResolvedScope {
  if (isScopeName(region)) return { region, service, regionFrom: place.name }
  throw new McpAuthError('MCPAUTH_AWS_UNKNOWN_SCOPE', `the region in ${place.name} is not the name of a region`, {
    hint: `correct it, or pass region: 'eu-central-1', say`
  })
}

function unknown(what: 'region' | 'service', server: URL, places: readonly string[], example: string): McpAuthError {
  return new McpAuthError('MCPAUTH_AWS_UNKNOWN_SCOPE', `no AWS ${what} for ${server.origin}: looked at ${listed(places)}`, {
    hint: `pass ${example}`
  })
}

function listed(places: readonly string[]): string {
  return places.length < 2 ? places.join() : `${places.slice(0, -1).join(', ')} and ${places.at(-1)}`
}

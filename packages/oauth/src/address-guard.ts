import { lookup as systemLookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { isLoopbackHost, McpAuthError, safeText } from '@mcpauth/core'

/** Where an address lies. `never`: nobody's authorization server is there (link-local, metadata services, multicast, documentation, translated forms). */
type Zone = 'public' | 'loopback' | 'private' | 'never'

/** Decides which addresses an MCP server may make this program talk to (REQUIREMENTS N34, T4). */
export interface AddressGuard {
  /**
   * Everything that can be said from the URL alone: scheme, user name, literal addresses, names that are never public.
   *
   * @param what What the URL is, for the error: `the resource metadata`.
   * @throws `MCPAUTH_ADDRESS_REFUSED`
   */
  checkUrl(url: URL, what: string): void
  /**
   * A `lookup` for `net.connect`: resolves, then refuses when any of the addresses is refused, and connects to exactly those that were
   * checked. A second answer of the DNS server therefore changes nothing. Node does not call it for literal addresses: `checkUrl` has those.
   */
  readonly lookup: LookupFunction
}

/** For {@link addressGuard}. */
export interface AddressGuardOptions {
  /** The MCP server. Non-public addresses are reachable only when it is on one itself. */
  readonly server: URL
  /** Allows http to hosts that are not loopback. @default false */
  readonly dangerouslyAllowHttp?: boolean
  /** Resolves names; for tests. @default `dns.lookup` */
  readonly lookup?: LookupFunction
}

const loopback = blockList('127.0.0.0/8', '::1/128')
const privateUse = blockList('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7')
// The registries of RFC 6890 and its successors. 168.63.129.16 is a cloud's metadata service on an ordinary public address.
const never = blockList(
  '0.0.0.0/8 169.254.0.0/16 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4',
  '240.0.0.0/4 168.63.129.16/32',
  '::/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 5f00::/16 fe80::/10 fec0::/10 ff00::/8'
)
const metadataNames: ReadonlySet<string> = new Set(['metadata', 'metadata.google.internal', 'metadata.goog', 'instance-data.ec2.internal'])
const privateSuffixes = ['.internal', '.local', '.home.arpa']

/** Makes the guard for one MCP server. It keeps what the server's own name resolved to, so that an answer that changes cannot widen it. */
export function addressGuard({ server, dangerouslyAllowHttp = false, lookup: resolve = systemLookup }: AddressGuardOptions): AddressGuard {
  const serverHost = plainHost(server)
  const serverZone = zoneOfHost(serverHost)
  let resolvedServerZone: Promise<Zone | undefined> | undefined

  /** The zone of the server itself; of several addresses, public as soon as one is. undefined: nobody knows. */
  function zoneOfServer(): Promise<Zone | undefined> {
    if (serverZone !== undefined) return Promise.resolve(serverZone)
    resolvedServerZone ??= resolveAll(resolve, serverHost, {}).then(
      (found) => widest(found.map(({ address }) => zoneOfAddress(address))),
      () => undefined
    )
    return resolvedServerZone
  }

  function checkUrl(url: URL, what: string): void {
    const host = plainHost(url)
    if (url.username || url.password) throw refused(what, url.host, 'its URL holds a user name')
    checkScheme(url, what)
    if (host === serverHost) return
    if (metadataNames.has(host)) throw refused(what, host, 'that is a metadata service')
    const zone = zoneOfHost(host)
    // A named server may turn out to be on the same network as a name; an address is not given that benefit before it is resolved.
    if (zone !== undefined && zone !== 'public' && !reachable(zone, serverZone)) throw refused(what, host, reasons[zone])
  }

  function checkScheme(url: URL, what: string): void {
    if (url.protocol === 'https:') return
    if (url.protocol !== 'http:') throw refused(what, safeHost(url), `its scheme is ${url.protocol}`)
    // Whose loopback it is, its zone tells.
    if (!isLoopbackHost(url.hostname) && !dangerouslyAllowHttp) throw refused(what, safeHost(url), 'it is not https')
  }

  async function resolveChecked(host: string, options: object): Promise<readonly ResolvedAddress[]> {
    const found = await resolveAll(resolve, host, options)
    if (host.replace(/\.$/, '').toLowerCase() === serverHost) return found
    for (const { address } of found) {
      const zone = zoneOfAddress(address)
      if (zone !== 'public' && !reachable(zone, await zoneOfServer())) throw refused('a host', `${host} (${address})`, reasons[zone])
    }
    return found
  }

  const lookup: LookupFunction = (host, options, callback) => {
    resolveChecked(host, options).then(
      (found) => {
        const first = found[0]
        if (options.all) callback(null, [...found])
        else if (first) callback(null, first.address, first.family)
        else callback(new McpAuthError('MCPAUTH_NETWORK', `${safeText(host)} has no address`), [])
      },
      (error: Error) => callback(error, [])
    )
  }

  return { checkUrl, lookup }
}

const reasons: Record<Exclude<Zone, 'public'>, string> = {
  loopback: 'that is this machine',
  private: 'that is a private network',
  never: 'that address is reserved'
}

/** A server on this machine may name hosts of this machine and of the local network; one on the local network, hosts of that; others neither. */
function reachable(zone: Exclude<Zone, 'public'>, from: Zone | undefined): boolean {
  return zone === 'loopback' ? from === 'loopback' : zone === 'private' && (from === 'private' || from === 'loopback')
}

function widest(zones: readonly Zone[]): Zone | undefined {
  const order: readonly Zone[] = ['public', 'never', 'private', 'loopback']
  return order.find((zone) => zones.includes(zone))
}

/** The zone that a host's spelling alone tells; undefined for a name that has to be resolved. */
function zoneOfHost(host: string): Zone | undefined {
  if (isIP(host) !== 0) return zoneOfAddress(host)
  if (isLoopbackHost(host)) return 'loopback'
  // A name without a dot is looked up in the local network's search list.
  return !host.includes('.') || privateSuffixes.some((suffix) => host.endsWith(suffix)) ? 'private' : undefined
}

function zoneOfAddress(address: string): Zone {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
  // An IPv4 address in IPv6 clothes: no public host is announced that way, and what it means depends on who reads it.
  if (/^::ffff:/i.test(address)) return 'never'
  // Loopback first: ::1 also lies in the range of the old IPv4-compatible addresses.
  if (loopback.check(address, family)) return 'loopback'
  if (privateUse.check(address, family)) return 'private'
  return never.check(address, family) ? 'never' : 'public'
}

interface ResolvedAddress {
  address: string
  family: number
}

function resolveAll(resolve: LookupFunction, host: string, options: object): Promise<ResolvedAddress[]> {
  return new Promise((settle, fail) => {
    resolve(host, { ...options, all: true }, (error, addresses) => {
      if (error) fail(error)
      else settle(Array.isArray(addresses) ? addresses : [{ address: addresses, family: isIP(addresses) }])
    })
  })
}

function blockList(...subnets: readonly string[]): BlockList {
  const list = new BlockList()
  for (const subnet of subnets.flatMap((line) => line.split(' '))) {
    const [network, prefix] = subnet.split('/') as [string, string]
    // Not isIP(): its pattern for IPv6 costs 4 ms when it is first used, and this runs at start-up.
    list.addSubnet(network, Number(prefix), network.includes(':') ? 'ipv6' : 'ipv4')
  }
  return list
}

/** The host as `net` spells it: without brackets, port and final dot. The WHATWG parser has already undone other spellings of addresses. */
function plainHost(url: URL): string {
  return url.hostname.replace(/[[\]]/g, '').replace(/\.$/, '')
}

function safeHost(url: URL): string {
  return url.host || url.protocol
}

function refused(what: string, host: string, why: string): McpAuthError {
  return new McpAuthError('MCPAUTH_ADDRESS_REFUSED', `${what} is at ${safeText(host)}, which is refused: ${why}`, {
    hint: 'an MCP server may only name https hosts on the public internet, unless it is on a private network itself; check its URL'
  })
}

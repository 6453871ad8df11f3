import { clientCredentials, enterpriseAuthorization, type OAuthOptions, workloadIdentity } from '@mcpauth/oauth'
import { memoryStore } from '@mcpauth/token-store'
import { scriptedBrowser } from './scripted-browser.ts'

/** What the suite hands to a client beside the URL: what a user would have got from an administrator. */
interface Context {
  name?: string
  client_id?: string
  client_secret?: string
  issuer?: string
  private_key_pem?: string
  signing_algorithm?: string
  idp_client_id?: string
  idp_id_token?: string
  idp_issuer?: string
  idp_token_endpoint?: string
  valid_jwt?: string
}

/** What a user configures, given what the administrator gave. */
export function clientOptions(env: NodeJS.ProcessEnv = process.env): OAuthOptions {
  const context: Context = JSON.parse(env.MCP_CONFORMANCE_CONTEXT ?? '{}')
  const common: OAuthOptions = {
    store: memoryStore(),
    clientName: 'mcpauth conformance client',
    // Nothing in the context says that this server wants bound tokens; a user learns it from the server's documentation.
    ...(env.MCP_CONFORMANCE_SCENARIO?.startsWith('auth/dpop') ? { dpop: true } : {})
  }
  return { ...common, ...grantOptions(context) }
}

function grantOptions(context: Context): OAuthOptions {
  const { client_id, client_secret, issuer, private_key_pem, signing_algorithm, valid_jwt, idp_id_token } = context
  const secret = client_secret === undefined ? {} : { clientSecret: () => client_secret }
  if (idp_id_token !== undefined) {
    return {
      client: { clientId: client_id as string, ...secret },
      grant: enterpriseAuthorization({
        issuer: context.idp_issuer as string,
        tokenUrl: context.idp_token_endpoint as string,
        client: { clientId: context.idp_client_id as string },
        idToken: () => idp_id_token
      })
    }
  }
  if (valid_jwt !== undefined) return { client: { clientId: client_id as string }, grant: workloadIdentity({ token: () => valid_jwt }) }
  if (private_key_pem !== undefined) {
    const algorithm = signing_algorithm === undefined ? {} : { signingAlgorithm: signing_algorithm }
    return { client: { clientId: client_id as string, privateKey: () => private_key_pem, ...algorithm }, grant: clientCredentials() }
  }
  // A client that was registered for the code flow comes with its issuer; one without an issuer is a machine's.
  if (client_id !== undefined && issuer === undefined) return { client: { clientId: client_id, ...secret }, grant: clientCredentials() }
  const login = { login: scriptedBrowser, clientMetadataUrl: 'https://conformance-test.local/client-metadata.json' }
  return client_id === undefined
    ? login
    : { ...login, client: { clientId: client_id, ...(issuer === undefined ? {} : { issuer }), ...secret } }
}

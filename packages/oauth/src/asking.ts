// What a process with a good token never needs: all that asks an authorization server or a person. `loadAsking()` loads it as one.
export { authorizer } from './authorizer.ts'
export { oidcSession } from './oidc-session.ts'
export { readPastedRedirect } from './pasted-redirect.ts'
export { clientAtProvider } from './provider-client.ts'
export { refreshIsolated } from './refresh-isolation.ts'

export { type RefreshOn401Options, withRefreshOn401 } from './refresh-on-401.ts'

import { mkdtempSync } from 'node:fs'
import { startUp } from './costs.ts'
await startUp(mkdtempSync('/tmp/su-'))

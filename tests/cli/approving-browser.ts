// A browser whose person allows everything: what $BROWSER names in these tests.
import { approve } from '../servers/scripted-user.ts'

await approve(process.argv[2] as string, process.env.DENY ? { deny: true } : {})

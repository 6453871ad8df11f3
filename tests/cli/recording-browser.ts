// A browser that only writes down what it was asked to open, one file for each tab in the folder that $TABS names.
import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const folder = await mkdtemp(join(process.env.TABS as string, 'tab-'))
await writeFile(join(folder, 'url'), process.argv[2] as string)

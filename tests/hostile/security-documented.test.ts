import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const rows = [...readFileSync(join(root, 'docs/security.md'), 'utf8').matchAll(/^\| (T\d+) \|.*\|(.*)\|$/gm)].map(
  ([, number, shownBy]) => ({
    number: number as string,
    files: [...(shownBy as string).matchAll(/`([^`]+\.test\.ts)`/g)].map(([, file]) => file as string)
  })
)

test('docs/security.md has a row for every threat', () => {
  expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: 23 }, (_, i) => `T${i + 1}`))
})

test.each(rows)('the tests that are said to show $number are there and carry its number', ({ number, files }) => {
  expect(files).not.toEqual([])
  for (const file of files) {
    expect(existsSync(join(root, file)), file).toBe(true)
    // Mix-up is shown by the normative rows that forbid it.
    const marks = number === 'T3' ? ['N20', 'N21', 'N22'] : [number]
    for (const mark of marks) expect(readFileSync(join(root, file), 'utf8'), file).toMatch(new RegExp(`\\b${mark}\\b`))
  }
})

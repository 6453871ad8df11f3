// biome-ignore-all lint/suspicious/noTemplateCurlyInString: pieces of source, as they are written.
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { rows } from './rows.ts'
import { allTitles, rowsOf, titlesIn } from './test-titles.ts'

const titles = allTitles(join(import.meta.dirname, '../..'))

test('the table has every row', () => {
  const numbers = [...Array.from({ length: 43 }, (_, i) => `N${i + 1}`), ...Array.from({ length: 23 }, (_, i) => `T${i + 1}`)]
  expect(Object.keys(rows).toSorted()).toEqual(numbers.toSorted())
})

test.each(Object.entries(rows))('%s (%s) is in the title of a test', (number) => {
  expect(titles.filter(({ title }) => rowsOf(title).includes(number))).not.toEqual([])
})

test('no title carries a number that the table does not have', () => {
  expect(titles.filter(({ title }) => rowsOf(title).some((number) => rows[number] === undefined))).toEqual([])
})

test('titles are found where they stand: in calls, behind tables and conditions, over lines, and not in comments or elsewhere', () => {
  const source = [
    "test('one', () => {})",
    "describe.each(roads)('two $name', () => {})",
    "test.each([\n  ['x', f(1)],\n])(\n  'three: %s',\n  () => {})",
    'describe.skipIf(!has(x))(`four ${y}`, () => {})',
    'test.each<[string, number]>([])("five isn\'t last", () => {})',
    "// test('commented out', () => {})",
    "expect(value).toBe('elsewhere')"
  ].join('\n')
  expect(titlesIn(source)).toEqual(['one', 'two $name', 'three: %s', 'four ${y}', "five isn't last"])
  expect(rowsOf('N28, N29: a T19 title, NT3 and N3x aside')).toEqual(['N28', 'N29', 'T19'])
})

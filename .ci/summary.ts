// Prints the closing line of a test run, and fails it when a test was skipped that had all it needs.
import { readFileSync } from 'node:fs'

interface Report {
  numPassedTests: number
  numFailedTests: number
  testResults: Array<{ name: string; assertionResults: Array<{ status: string; fullName: string }> }>
}

const [file = '', toolsComplete] = process.argv.slice(2)
const report: Report = JSON.parse(readFileSync(file, 'utf8'))
const skipped = report.testResults.flatMap(({ assertionResults }) =>
  assertionResults.filter(({ status }) => status !== 'passed' && status !== 'failed')
)
for (const { fullName } of skipped) console.log(`skipped: ${fullName}`)
console.log(`${report.numPassedTests} passed, ${report.numFailedTests} failed, ${skipped.length} skipped`)
if (report.numFailedTests > 0 || (skipped.length > 0 && toolsComplete === 'yes')) process.exitCode = 1

import base from '../../tsup.config.ts'

// The helper of `refreshIsolation: 'process'` is started as a file of its own.
export default { ...base, entry: ['src/index.ts', 'src/refresh-helper.ts'] }

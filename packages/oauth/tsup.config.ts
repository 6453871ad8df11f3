import base from '../../tsup.config.ts'

// The helper of `refreshIsolation: 'process'` is started as a file of its own. It is built by itself: what it shared with the package, in files of their own,
// would have to be loaded one by one by everybody.
export default [base, { ...base, entry: ['src/refresh-helper.ts'], splitting: false, clean: false }]

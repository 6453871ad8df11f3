import base from '../../tsup.config.ts'

// Split, so that the first file imports nothing before it has looked at the version of Node.
export default { ...(base as object), splitting: true }

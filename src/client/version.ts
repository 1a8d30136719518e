/** The version of the package; a test compares it with package.json, which a client in a browser could not read. */
export const version = '0.1.0'

/** JSON pointer (RFC 6901) of a member of what `path` points at. */
export const pointerTo = (path: string, key: string | number): string =>
  `${path}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`

/** A request's url, taken apart. */
export interface RequestTarget {
  path: string
  query: URLSearchParams
  /** Decoded segments after `/services/data/vXX.X/`; empty elsewhere. */
  segments: string[]
  /** 0 outside `/services/data/vXX.X`. */
  version: number
}

const dataPattern = /^\/services\/data\/v(\d{1,3})\.0(?:\/(.*))?$/

/** Takes apart a url that starts with a slash. A segment that cannot be decoded is kept as it is. */
export function parseTarget(url: string): RequestTarget {
  const mark = url.indexOf('?')
  const path = mark < 0 ? url : url.slice(0, mark)
  const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1))
  const match = dataPattern.exec(path)
  if (!match) return { path, query, segments: [], version: 0 }
  const rest = match[2] ?? ''
  return { path, query, segments: rest === '' ? [] : rest.split('/').map(decode), version: Number(match[1]) }
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

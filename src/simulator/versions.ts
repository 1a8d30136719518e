import { ApiError, notFound } from './api-error.ts'
import type { Answer } from './api-error.ts'
import type { Call } from './call.ts'

const oldest = 31
const newest = 68

/** `GET /services/data`: the supported versions. */
export function listVersions(): Answer {
  const body = []
  for (let version = oldest; version <= newest; version++) {
    body.push({ label: labelOf(version), url: `/services/data/v${version}.0`, version: `${version}.0` })
  }
  return { status: 200, body }
}

/** `GET /services/data/vXX.X`: its resources. */
export function listResources(call: Call): Answer {
  const base = `/services/data/v${call.version}.0`
  return {
    status: 200,
    body: { sobjects: `${base}/sobjects`, limits: `${base}/limits`, composite: `${base}/composite` },
  }
}

/** Refuses versions that were retired or never existed. @throws {ApiError} 410 or 404 */
export function checkVersion(version: number): void {
  if (version > newest) throw notFound()
  if (version >= oldest) return
  throw new ApiError(
    410,
    'UNSUPPORTED_API_VERSION',
    `API version ${version}.0 is no longer supported. Use ${oldest}.0 or later.`,
  )
}

/** Three releases a year: version 68 is Winter '27. */
function labelOf(version: number): string {
  const season = ['Winter', 'Spring', 'Summer'][(version - 68 + 300) % 3] ?? ''
  const year = 27 + Math.floor((version - 68) / 3)
  return `${season} '${String(year).padStart(2, '0')}`
}

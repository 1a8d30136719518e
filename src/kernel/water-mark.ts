/**
 * Two water marks: closed at the high one, open again at half of it, so that load does not flap.
 * `full(level)` says whether to refuse now; the change either way is reported once.
 */
export function createWaterMark(
  high: number,
  onChange: (closed: boolean, level: number) => void,
): (level: number) => boolean {
  let closed = false
  return (level) => {
    const next = closed ? level > high / 2 : level >= high
    if (next !== closed) {
      closed = next
      onChange(closed, level)
    }
    return closed
  }
}

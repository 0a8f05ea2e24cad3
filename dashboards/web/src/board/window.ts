/** Which of `count` rows of one height to draw, a few more than can be seen; `also` is drawn wherever it is. */
export function visible(count: number, rowHeight: number, scrollTop: number, height: number, also = -1): number[] {
  const MORE = 4;
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - MORE);
  const end = Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + MORE);
  const range = Array.from({ length: Math.max(0, end - first) }, (_, place) => first + place);
  if (also < 0 || also >= count) return range;
  if (also < first) return [also, ...range];
  return also >= end ? [...range, also] : range;
}

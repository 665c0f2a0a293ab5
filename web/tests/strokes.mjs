// Digits drawn by hand on the pad: strokes of [column, row] in its 32 x 32 pixels.
const arc = (x, y, rx, ry, from, to) => Array.from({ length: 25 }, (_, i) => {
  const angle = from + ((to - from) * i) / 24;
  return [x + rx * Math.sin(angle), y - ry * Math.cos(angle)];
});

export const DIGITS = {
  0: [arc(16, 16, 7, 11, 0, 2 * Math.PI)],
  3: [[...arc(15, 10, 7, 6, -1.2, Math.PI), ...arc(15, 22, 8, 6, 0, Math.PI + 1.2)]],
  7: [[[8, 5], [24, 5], [14, 28]], [[11, 16], [23, 16]]],
};

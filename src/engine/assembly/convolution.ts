/**
 * What a ResNet has besides matrix products. A map is [side · side, channels] float32, a pixel a row; channels are
 * multiples of 8. Nothing here hides a NaN or an infinity.
 */

/**
 * The 3 × 3 neighbourhoods of pixels as rows, each in the order y, x, channel; beyond the map's edge is 0. With them, a
 * convolution is a matrix product.
 * @param x [side · side, channels] float32, here of any number of channels
 * @param step from one neighbourhood's centre to the next, across and down, from the first pixel on
 * @param first, count which of the ⌈side / step⌉² neighbourhoods
 * @param y [count, stride / 4] float32; what is past 9 · channels in a row becomes 0
 */
export function gatherNeighbours(
  x: usize, side: i32, channels: i32, step: i32, first: i32, count: i32, y: usize, stride: usize,
): void {
  const pixel = <usize>channels << 2;
  const line = pixel * 3;
  const across = (side + step - 1) / step;
  let centreY = (first / across) * step;
  let centreX = (first % across) * step;
  for (let i = 0; i < count; i++) {
    const left = <usize>(centreX == 0);
    const right = <usize>(centreX == side - 1);
    let to = y;
    for (let row = centreY - 1; row <= centreY + 1; row++) {
      if (<u32>row >= <u32>side) {
        memory.fill(to, 0, line);
      } else {
        const from = x + <usize>(row * side + centreX - 1) * pixel;
        if (left) memory.fill(to, 0, pixel);
        memory.copy(to + left * pixel, from + left * pixel, (3 - left - right) * pixel);
        if (right) memory.fill(to + 2 * pixel, 0, pixel);
      }
      to += line;
    }
    memory.fill(to, 0, stride - 3 * line);
    y += stride;
    centreX += step;
    if (centreX >= side) {
      centreX = 0;
      centreY += step;
    }
  }
}

/**
 * The mean of each 2 × 2 pixels; a last column and line that have no neighbour are left out.
 * @param x [lines · side, channels] float32
 * @param y [⌊lines / 2⌋ · ⌊side / 2⌋, channels] float32; may be x
 */
export function averagePool(x: usize, side: i32, lines: i32, channels: i32, y: usize): void {
  const pixel = <usize>channels << 2;
  const line = pixel * <usize>side;
  const quarter = f32x4.splat(0.25);
  const half = side >> 1;
  for (let row = 0; row < lines >> 1; row++) {
    let from = x + line * 2 * <usize>row;
    for (let column = 0; column < half; column++) {
      for (const end = from + pixel; from < end; from += 16) {
        const below = from + line;
        const upper = f32x4.add(v128.load(from), v128.load(from + pixel));
        const lower = f32x4.add(v128.load(below), v128.load(below + pixel));
        v128.store(y, f32x4.mul(f32x4.add(upper, lower), quarter));
        y += 16;
      }
      from += pixel;
    }
  }
}

/**
 * max(x, 0) in place, [count] float32, count a multiple of 4. An infinity becomes NaN: of a negative one there would be
 * nothing left to see.
 */
export function relu(x: usize, count: i32): void {
  const zero = f32x4.splat(0);
  for (const end = x + (<usize>count << 2); x < end; x += 16) {
    const v = v128.load(x);
    v128.store(x, f32x4.add(f32x4.pmax(v, zero), f32x4.mul(v, zero))); // in this order of operands a NaN passes
  }
}

/**
 * The mean of all rows, then the rows, each plus its position.
 * @param x [rows, width] float32, width a multiple of 4
 * @param positions, y [1 + rows, width] float32; y is not x
 */
export function meanAndRows(x: usize, rows: i32, width: i32, positions: usize, y: usize): void {
  const bytes = <usize>width << 2;
  const share = f32x4.splat(1 / <f32>rows);
  for (let i: usize = 0; i < bytes; i += 16) {
    let sum = f32x4.splat(0);
    let at = i;
    for (let row = 0; row < rows; row++) {
      const v = v128.load(x + at);
      sum = f32x4.add(sum, v);
      at += bytes;
      v128.store(y + at, f32x4.add(v, v128.load(positions + at)));
    }
    v128.store(y + i, f32x4.add(f32x4.mul(sum, share), v128.load(positions + i)));
  }
}

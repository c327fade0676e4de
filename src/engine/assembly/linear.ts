/**
 * The matrix product y = x · Wᵀ + bias in integers, which is where nine tenths of the time go.
 * A tile is 4 rows by 8 columns: 8 sums in registers, 64 multiplications a pair of inputs for two loads and four shuffles.
 * Measured in workerd, whose V8 pays more for a load than Node's: broadcasting a row on load, and widening on load, cost a
 * fifth; so do other tiles (2, 3, 5, 6 rows) and unrolling.
 */
import { pair0, pair1, pair2, pair3 } from './simd';

/** Of 8 columns' weights for a pair of inputs, the first four columns': int8 is widened, int16 is as it is. */
function lowHalf<W>(at: usize): v128 {
  return sizeof<W>() === 1 ? i16x8.extend_low_i8x16_s(v128.load(at)) : v128.load(at);
}

function highHalf<W>(at: usize): v128 {
  return sizeof<W>() === 1 ? i16x8.extend_high_i8x16_s(v128.load(at)) : v128.load(at, 16);
}

/** Integer sums · the row's scale */
export function scaled(sums: v128, scale: v128): v128 {
  return f32x4.mul(f32x4.convert_i32x4_s(sums), scale);
}

/** 4 columns of a row of a tile: scaled sums · the columns' scales + bias, added to y if asked. */
export function finish(y: usize, sums: v128, columnScales: v128, bias: v128, add: bool): void {
  const a = f32x4.add(f32x4.mul(sums, columnScales), bias);
  v128.store(y, add ? f32x4.add(a, v128.load(y)) : a);
}

/**
 * 8 columns of a product, for all rows.
 * @param x [blocks][pairs][4][2] int16 of `quantise`
 * @param scales [blocks * 4] float32
 * @param panel [pairs][8][2], int8 or int16: the weights of 8 columns
 * @param columnScales, bias [8] float32
 * @param y [blocks * 4, 8] float32, `stride` bytes a row
 */
export function panel<W>(
  x: usize, scales: usize, blocks: i32, pairs: i32, panel: usize, columnScales: usize, bias: usize,
  y: usize, stride: usize, add: bool,
): void {
  for (let block = 0; block < blocks; block++) {
    let a0 = i32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
    let weights = panel;
    for (const end = panel + (<usize>pairs << 4) * sizeof<W>(); weights < end; weights += 16 * sizeof<W>()) {
      const low = lowHalf<W>(weights);
      const high = highHalf<W>(weights);
      const rows = v128.load(x);
      let row = pair0(rows);
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(row, low));
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(row, high));
      row = pair1(rows);
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(row, low));
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(row, high));
      row = pair2(rows);
      c0 = i32x4.add(c0, i32x4.dot_i16x8_s(row, low));
      c1 = i32x4.add(c1, i32x4.dot_i16x8_s(row, high));
      row = pair3(rows);
      d0 = i32x4.add(d0, i32x4.dot_i16x8_s(row, low));
      d1 = i32x4.add(d1, i32x4.dot_i16x8_s(row, high));
      x += 16;
    }
    const scaleA = v128.load32_splat(scales);
    const scaleB = v128.load32_splat(scales, 4);
    const scaleC = v128.load32_splat(scales, 8);
    const scaleD = v128.load32_splat(scales, 12);
    let factor = v128.load(columnScales);
    let offset = v128.load(bias);
    finish(y, scaled(a0, scaleA), factor, offset, add);
    finish(y + stride, scaled(b0, scaleB), factor, offset, add);
    finish(y + stride * 2, scaled(c0, scaleC), factor, offset, add);
    finish(y + stride * 3, scaled(d0, scaleD), factor, offset, add);
    factor = v128.load(columnScales, 16);
    offset = v128.load(bias, 16);
    finish(y + 16, scaled(a1, scaleA), factor, offset, add);
    finish(y + stride + 16, scaled(b1, scaleB), factor, offset, add);
    finish(y + stride * 2 + 16, scaled(c1, scaleC), factor, offset, add);
    finish(y + stride * 3 + 16, scaled(d1, scaleD), factor, offset, add);
    y += stride * 4;
    scales += 16;
  }
}

/** The same for the first row of a block alone: a Vision Transformer has often one token more than a multiple of 4. */
function rowPanel(
  x: usize, scale: usize, pairs: i32, panel: usize, columnScales: usize, bias: usize, y: usize, add: bool,
): void {
  let low = i32x4.splat(0), high = low;
  for (let pair = pairs; pair > 0; pair--) {
    const row = v128.load32_splat(x);
    low = i32x4.add(low, i32x4.dot_i16x8_s(row, lowHalf<i8>(panel)));
    high = i32x4.add(high, i32x4.dot_i16x8_s(row, highHalf<i8>(panel)));
    panel += 16;
    x += 16;
  }
  const rowScale = v128.load32_splat(scale);
  finish(y, scaled(low, rowScale), v128.load(columnScales), v128.load(bias), add);
  finish(y + 16, scaled(high, rowScale), v128.load(columnScales, 16), v128.load(bias, 16), add);
}

/**
 * y = x · Wᵀ + bias, or y += that.
 * @param x, scales of `quantise`, `inputs` padded to a multiple of 16
 * @param rows how many count; with 2 or 3 in the last block, all 4 of it are written
 * @param weights [panels][inputs / 2][8][2] int8
 * @param columnScales, bias [panels * 8] float32
 * @param y [rows, panels * 8] float32, `stride` bytes a row
 */
export function linear(
  x: usize, scales: usize, rows: i32, inputs: i32, weights: usize, columnScales: usize, bias: usize,
  panels: i32, y: usize, stride: usize, add: bool,
): void {
  const pairs = inputs >> 1;
  const blocks = (rows + 2) >> 2; // a last block of one row is not among them
  const rest = <usize>blocks * 4;
  const lastX = x + rest * <usize>inputs * 2;
  const lastY = y + rest * stride;
  // one call a panel: V8 enters the optimised code of a function only when it is called anew
  for (let i: usize = 0; i < <usize>panels; i++) {
    const column = i * 32;
    const scale = columnScales + column;
    panel<i8>(x, scales, blocks, pairs, weights, scale, bias + column, y + column, stride, add);
    if (<usize>rows > rest) rowPanel(lastX, scales + rest * 4, pairs, weights, scale, bias + column, lastY + column, add);
    weights += <usize>inputs * 8;
  }
}

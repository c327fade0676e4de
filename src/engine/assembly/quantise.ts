/**
 * Rows of float32 → int16 with one scale a row, packed as the matrix product reads them.
 *
 * Overflow: a sum of `inputs` products of an int8 weight (|w| ≤ 128) and an activation (|a| ≤ limit) stays within int32,
 * since limit = ⌊(2³¹ − 1) / (128 · inputs)⌋, at most 32767. Up to 512 inputs an activation keeps 15 bits, with 3072
 * inputs 12.4 bits; the weights' 7 bits are what limits the precision.
 */
import { largestOf, round8 } from './simd';

/** A row whose largest magnitude is below this counts as zero: 1 / it must be finite. */
export const SMALLEST: f32 = 1e-30;

/** The largest |x| of a row; NaN or infinite if one of them is. */
function largest(x: usize, count: i32): f32 {
  const magnitude = i32x4.splat(0x7fffffff);
  let bits = i32x4.splat(0);
  for (const end = x + (<usize>count << 2); x < end; x += 16) {
    bits = i32x4.max_s(bits, v128.and(v128.load(x), magnitude));
  }
  return largestOf(bits);
}

/**
 * Stores max|row| / limit, by which the products are multiplied again, at `scale`.
 * A NaN or an infinity in the row makes the scale so, and with it every product of the row: none goes unnoticed.
 * @returns its inverse; 0 for a row of zeros
 */
export function rowFactor(x: usize, count: i32, limit: f32, scale: usize): f32 {
  const top = largest(x, count);
  store<f32>(scale, top / limit);
  return top >= SMALLEST ? limit / top : 0;
}

/** Transposes 4 rows of 4 lanes (pairs of int16, or four bytes) and stores the 4 columns `step` bytes apart. */
export function storeColumns(to: usize, step: usize, r0: v128, r1: v128, r2: v128, r3: v128): void {
  const a = i8x16.shuffle(r0, r1, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const b = i8x16.shuffle(r0, r1, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  const c = i8x16.shuffle(r2, r3, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const d = i8x16.shuffle(r2, r3, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  v128.store(to, i8x16.shuffle(a, c, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23));
  v128.store(to + step, i8x16.shuffle(a, c, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31));
  v128.store(to + step * 2, i8x16.shuffle(b, d, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23));
  v128.store(to + step * 3, i8x16.shuffle(b, d, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31));
}

/**
 * round(x · factor) of 4 rows, as [count / 2][4 rows][2] int16.
 * @param stride bytes from row to row
 * @param count a multiple of 8
 * @param step bytes from one pair of columns to the next: 16, or 32 where two groups of rows alternate
 */
export function pack4Rows(
  x: usize, stride: usize, count: i32, to: usize, step: usize,
  factor0: f32, factor1: f32, factor2: f32, factor3: f32,
): void {
  const f0 = f32x4.splat(factor0);
  const f1 = f32x4.splat(factor1);
  const f2 = f32x4.splat(factor2);
  const f3 = f32x4.splat(factor3);
  for (const end = x + (<usize>count << 2); x < end; x += 32) {
    const r0 = round8(x, f0);
    const r1 = round8(x + stride, f1);
    const r2 = round8(x + stride * 2, f2);
    const r3 = round8(x + stride * 3, f3);
    storeColumns(to, step, r0, r1, r2, r3);
    to += step * 4;
  }
}

/** The same with the rows' own scales, which go to scales[4]. */
export function quantise4Rows(
  x: usize, stride: usize, count: i32, to: usize, step: usize, scales: usize, limit: f32,
): void {
  const f0 = rowFactor(x, count, limit, scales);
  const f1 = rowFactor(x + stride, count, limit, scales + 4);
  const f2 = rowFactor(x + stride * 2, count, limit, scales + 8);
  const f3 = rowFactor(x + stride * 3, count, limit, scales + 12);
  pack4Rows(x, stride, count, to, step, f0, f1, f2, f3);
}

/**
 * @param x [blocks * 4, inputs] float32, `stride` bytes a row; inputs a multiple of 8
 * @param packed [blocks][paddedInputs / 2][4][2] int16, where paddedInputs is the next multiple of 16
 * @param scales [blocks * 4] float32
 */
export function quantise(x: usize, stride: usize, blocks: i32, inputs: i32, packed: usize, scales: usize): void {
  const padded = (inputs + 15) & ~15;
  const limit = min<i32>(32767, 0x7fffffff / (128 * padded));
  for (let block = 0; block < blocks; block++) {
    quantise4Rows(x, stride, inputs, packed, 16, scales, <f32>limit);
    if (padded > inputs) memory.fill(packed + <usize>inputs * 8, 0, 64);
    x += stride * 4;
    packed += <usize>padded * 8;
    scales += 16;
  }
}

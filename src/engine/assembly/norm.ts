import { sumOf } from './simd';

/**
 * Layer normalisation of each row: (x − mean) / √(variance + eps) · weight + bias, the variance about the mean (two passes).
 * A row with a NaN or an infinity becomes NaN, and so does one so large (beyond 10¹⁸) that its variance overflows: divided by
 * infinity it would become the bias, which looks like any other.
 * @param x, y [rows, width] float32, `xStride` and `yStride` bytes a row, perhaps the same; width a multiple of 4
 * @param weight, bias [width] float32
 */
export function layerNorm(
  x: usize, xStride: usize, rows: i32, width: i32, weight: usize, bias: usize, eps: f32, y: usize, yStride: usize,
): void {
  const bytes = <usize>width << 2;
  for (let row = 0; row < rows; row++) {
    let sums = f32x4.splat(0);
    for (let i: usize = 0; i < bytes; i += 16) sums = f32x4.add(sums, v128.load(x + i));
    const mean = f32x4.splat(sumOf(sums) / <f32>width);
    sums = f32x4.splat(0);
    for (let i: usize = 0; i < bytes; i += 16) {
      const d = f32x4.sub(v128.load(x + i), mean);
      sums = f32x4.add(sums, f32x4.mul(d, d));
    }
    const variance = sumOf(sums) / <f32>width;
    const scale = f32x4.splat(1 / sqrt<f32>(variance + eps) + variance * 0);
    for (let i: usize = 0; i < bytes; i += 16) {
      const normed = f32x4.mul(f32x4.sub(v128.load(x + i), mean), scale);
      v128.store(y + i, f32x4.add(f32x4.mul(normed, v128.load(weight + i)), v128.load(bias + i)));
    }
    x += xStride;
    y += yStride;
  }
}

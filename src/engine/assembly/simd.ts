/** What several kernels share, inlined into each. In a file of its own: `@inline` is AssemblyScript's syntax only. */

/** 1.5 · 2²³: added to |x| < 2²², it leaves round(x), to even, in the low bits of the float (and −x as two's complement). */
@inline export const ROUNDER: f32 = 12582912;

/**
 * exp(x) of each lane, relative error < 4e-7 for −87 ≤ x ≤ 87; beyond, the result stays at 2^∓126. NaN stays NaN.
 * 2^(x·log₂e), the whole part by the exponent bits, the rest (−½ … ½) by its Taylor series of degree 6.
 */
@inline export function exp4(x: v128): v128 {
  let t = f32x4.mul(x, f32x4.splat(1.44269504));
  t = f32x4.pmin(f32x4.pmax(t, f32x4.splat(-126)), f32x4.splat(126)); // in this order of operands a NaN passes
  const whole = f32x4.add(t, f32x4.splat(ROUNDER));
  const rest = f32x4.sub(t, f32x4.sub(whole, f32x4.splat(ROUNDER)));
  let p = f32x4.add(f32x4.splat(1.3333558e-3), f32x4.mul(rest, f32x4.splat(1.5403530e-4)));
  p = f32x4.add(f32x4.splat(9.6181291e-3), f32x4.mul(rest, p));
  p = f32x4.add(f32x4.splat(5.5504109e-2), f32x4.mul(rest, p));
  p = f32x4.add(f32x4.splat(2.4022651e-1), f32x4.mul(rest, p));
  p = f32x4.add(f32x4.splat(6.9314718e-1), f32x4.mul(rest, p));
  p = f32x4.add(f32x4.splat(1), f32x4.mul(rest, p));
  return f32x4.mul(p, i32x4.shl(i32x4.add(whole, i32x4.splat(127)), 23));
}

@inline export function sumOf(v: v128): f32 {
  return (f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

/** Of four non-negative floats as bits, whose order is that of integers, with infinity and NaN above all numbers. */
@inline export function largestOf(bits: v128): f32 {
  const a = max(i32x4.extract_lane(bits, 0), i32x4.extract_lane(bits, 1));
  const b = max(i32x4.extract_lane(bits, 2), i32x4.extract_lane(bits, 3));
  return reinterpret<f32>(max(a, b));
}

/** round(4 floats at p · factor) in the low 16 bits of each lane. */
@inline export function round4(p: usize, factor: v128): v128 {
  return f32x4.add(f32x4.mul(v128.load(p), factor), f32x4.splat(ROUNDER));
}

/** round(8 floats at p · factor) as int16. */
@inline export function round8(p: usize, factor: v128): v128 {
  return i8x16.shuffle(
    round4(p, factor), round4(p + 16, factor),
    0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29,
  );
}

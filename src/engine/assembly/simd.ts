/** What several kernels share, inlined into each. In a file of its own: `@inline` is AssemblyScript's syntax only. */

/**
 * Constants in memory: V8 builds a constant vector anew, in three instructions, wherever it is used, and loops here use a
 * dozen. A broadcasting load is one, and GELU takes two thirds of the time.
 */
const CONSTANTS = memory.data<f32>([
  12582912, 1.44269504, 126, -126, // 0: the rounder, log₂e, the limits of the exponent
  1.3276472e-3, 9.6755413e-3, 5.5507133e-2, 2.4022120e-1, 6.9314697e-1, 1, // 4: 2^x, 9: one
  -1.702, -1.5957691, -0.07135481, // 10: quick GELU; 11: −2 √(2/π), and that · 0.044715
  0.70710678, 0.3275911, 1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, // 13: √½; 14: erf
  0.5, -1e30, 0.171, // 20: ½; 21: masked; 22: the floor
]);

@inline export const ROUNDER = 0;
@inline export const ONE = 9;
@inline export const QUICK_GELU = 10;
@inline export const GELU_TANH = 11;
@inline export const SQRT_HALF = 13;
@inline export const ERF = 14;
@inline export const HALF = 20;
@inline export const MASKED = 21;
@inline export const FLOOR = 22;

/** What a score becomes that its query does not see. */
@inline export const MASKED_SCORE: f32 = -1e30;

@inline export function constant(index: usize): v128 {
  return v128.load32_splat(CONSTANTS + (index << 2));
}

@inline function multiplyAdd(a: v128, b: v128, c: v128): v128 {
  return f32x4.add(f32x4.mul(a, b), c);
}

/** The polynomial of degree 4 in x whose coefficients, highest first, begin at `index`. */
@inline export function polynomial4(x: v128, index: usize): v128 {
  let p = multiplyAdd(constant(index), x, constant(index + 1));
  p = multiplyAdd(p, x, constant(index + 2));
  p = multiplyAdd(p, x, constant(index + 3));
  return multiplyAdd(p, x, constant(index + 4));
}

/**
 * exp(x) of each lane, relative error < 4e-7 for |x| ≤ 2, growing with |x| · 6e-8 to 5e-6; beyond ±87.3 the result stays at
 * 2^±126. NaN stays NaN.
 * 2^(x·log₂e): the whole part by the exponent bits, the rest (−½ … ½) by the polynomial of degree 5 whose largest relative
 * error is least (1.6e-7; Remez 1934), with 1 as its last coefficient.
 */
@inline export function exp4(x: v128): v128 {
  let t = f32x4.mul(x, constant(1));
  t = f32x4.pmin(f32x4.pmax(t, constant(3)), constant(2)); // in this order of operands a NaN passes
  const whole = f32x4.add(t, constant(ROUNDER));
  const rest = f32x4.sub(t, f32x4.sub(whole, constant(ROUNDER)));
  const p = multiplyAdd(polynomial4(rest, 4), rest, constant(ONE));
  // 2^n: the low bits of `whole` added to the exponent of 1
  return f32x4.mul(p, i32x4.add(i32x4.shl(whole, 23), constant(ONE)));
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

/**
 * round(4 floats at p · factor), to even, in the low 16 bits of each lane, for results within int16.
 * Adding 1.5 · 2²³ leaves no bits behind the point.
 */
@inline export function round4(p: usize, factor: v128): v128 {
  return multiplyAdd(v128.load(p), factor, constant(ROUNDER));
}

/** round(8 floats at p · factor) as int16. */
@inline export function round8(p: usize, factor: v128): v128 {
  return i8x16.shuffle(
    round4(p, factor), round4(p + 16, factor),
    0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29,
  );
}

/**
 * round(16 floats at p · factor) + the zero that `rounder` has beside 1.5 · 2²³, as bytes; what would be negative is 0.
 * No result is above the row's limit, since factor = limit / max|row|.
 */
@inline export function codes16(p: usize, factor: v128, rounder: v128): v128 {
  const a = multiplyAdd(v128.load(p), factor, rounder);
  const b = multiplyAdd(v128.load(p, 16), factor, rounder);
  const c = multiplyAdd(v128.load(p, 32), factor, rounder);
  const d = multiplyAdd(v128.load(p, 48), factor, rounder);
  return i8x16.narrow_i16x8_u(
    i8x16.shuffle(a, b, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29),
    i8x16.shuffle(c, d, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29),
  );
}

/**
 * The sums of neighbouring products of 16 int8 weights and 16 codes 0 … 127, 8 int16. With such codes the relaxed
 * instruction gives the same on every machine; without it the same numbers come from five instructions.
 */
@inline export function dot8(weights: v128, codes: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.relaxed_dot_i8x16_i7x16_s(weights, codes);
  const low = i16x8.extmul_low_i8x16_s(weights, codes);
  const high = i16x8.extmul_high_i8x16_s(weights, codes);
  return i16x8.add(
    i8x16.shuffle(low, high, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29),
    i8x16.shuffle(low, high, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31),
  );
}

/** sums + the sums of neighbours of 8 int16 */
@inline export function widen(sums: v128, pairs: v128): v128 {
  return i32x4.add(sums, i32x4.extadd_pairwise_i16x8_s(pairs));
}

/** The first of four lanes (a pair of int16, or four bytes), four times; then the second, and so on. */
@inline export function pair0(a: v128): v128 {
  return i8x16.shuffle(a, a, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
}

@inline export function pair1(a: v128): v128 {
  return i8x16.shuffle(a, a, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7);
}

@inline export function pair2(a: v128): v128 {
  return i8x16.shuffle(a, a, 8, 9, 10, 11, 8, 9, 10, 11, 8, 9, 10, 11, 8, 9, 10, 11);
}

@inline export function pair3(a: v128): v128 {
  return i8x16.shuffle(a, a, 12, 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15);
}

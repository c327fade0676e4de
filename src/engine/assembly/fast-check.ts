/** Whether the weights of a fast product are within the bounds that it counts on (fast.ts), before it is first used. */
import { GROUP } from './fast';

/** The most that four weights of one sign may sum to whose products are added in int16. */
const LANE: i16 = 258;

/** Sums of neighbouring weights of 8 inputs × 4 columns: 8 int16, two a column. */
function lanes(first: v128, second: v128): v128 {
  return i16x8.add(i16x8.extadd_pairwise_i8x16_s(first), i16x8.extadd_pairwise_i8x16_s(second));
}

/** All bits of those lanes in which the bound is not kept. */
function beyond(positive: v128, negative: v128): v128 {
  const bound = i16x8.splat(LANE);
  return v128.or(i16x8.gt_s(positive, bound), i16x8.gt_s(i16x8.neg(bound), negative));
}

/** 8 columns: @returns whether their lanes keep the bound, and their sums start with −zero · Σ weights of each group. */
function panelFits(weights: usize, inputs: i32, starts: usize, startStride: usize, zero: i32): bool {
  const none = i32x4.splat(0);
  const factor = i32x4.splat(-zero);
  let wrong = none;
  for (let left = inputs; left > 0; left -= GROUP) {
    let low = none, high = none;
    for (const end = weights + (<usize>min(left, GROUP) << 3); weights < end; weights += 64) {
      const a = v128.load(weights), b = v128.load(weights, 32);
      const c = v128.load(weights, 16), d = v128.load(weights, 48);
      const lowPositive = lanes(i8x16.max_s(a, none), i8x16.max_s(b, none));
      const lowNegative = lanes(i8x16.min_s(a, none), i8x16.min_s(b, none));
      const highPositive = lanes(i8x16.max_s(c, none), i8x16.max_s(d, none));
      const highNegative = lanes(i8x16.min_s(c, none), i8x16.min_s(d, none));
      wrong = v128.or(wrong, beyond(lowPositive, lowNegative));
      wrong = v128.or(wrong, beyond(highPositive, highNegative));
      low = i32x4.add(low, i32x4.extadd_pairwise_i16x8_s(i16x8.add(lowPositive, lowNegative)));
      high = i32x4.add(high, i32x4.extadd_pairwise_i16x8_s(i16x8.add(highPositive, highNegative)));
    }
    wrong = v128.or(wrong, i32x4.ne(v128.load(starts), i32x4.mul(low, factor)));
    wrong = v128.or(wrong, i32x4.ne(v128.load(starts, 16), i32x4.mul(high, factor)));
    starts += startStride;
  }
  return !v128.any_true(wrong);
}

/**
 * @param weights, inputs, starts, startStride, panels of `linearFast`
 * @param zero the code of 0
 * @returns the first panel that is not as it must be, or `panels`
 */
export function checkFast(
  weights: usize, inputs: i32, starts: usize, startStride: usize, panels: i32, zero: i32,
): i32 {
  for (let panel = 0; panel < panels; panel++) {
    if (!panelFits(weights, inputs, starts, startStride, zero)) return panel;
    weights += <usize>inputs * 8;
    starts += 32;
  }
  return panels;
}

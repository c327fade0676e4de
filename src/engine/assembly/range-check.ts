/** Whether numbers of a model file are ones to compute with. In JavaScript, cold, it would take a tenth of a cold start. */

/**
 * @param x [count] float32
 * @returns whether all are finite and at least `least`
 */
export function allWithin(x: usize, count: i32, least: f32): bool {
  const floor = f32x4.splat(least);
  const none = f32x4.splat(0);
  let fine = i32x4.splat(-1);
  const end = x + (<usize>count << 2);
  for (; x + 16 <= end; x += 16) {
    const v = v128.load(x);
    // of NaN and of infinity this is NaN, of all else 0
    const zeros = f32x4.mul(v, none);
    fine = v128.and(fine, v128.and(f32x4.eq(zeros, none), f32x4.ge(v, floor)));
  }
  for (; x < end; x += 4) {
    const v = load<f32>(x);
    if (!(v * 0 == 0 && v >= least)) return false;
  }
  return i32x4.all_true(fine);
}

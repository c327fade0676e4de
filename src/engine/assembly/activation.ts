/**
 * The activations of the MLP, in place, [count] float32, count a multiple of 4. NaN stays NaN.
 * With `factors` [count], 0 if there are none, the result is (activation + FLOOR) · factor: what the fast product takes,
 * whose codes are used best by numbers none of which is negative. FLOOR is above the depth of all three functions' dip
 * (0.1636, 0.17004, 0.16997).
 */
import { constant, ERF, exp4, FLOOR, GELU_TANH, HALF, ONE, polynomial4, QUICK_GELU, SQRT_HALF } from './simd';

function store4(x: usize, y: v128, factors: usize): void {
  if (factors) y = f32x4.mul(f32x4.add(y, constant(FLOOR)), v128.load(factors));
  v128.store(x, y);
}

/** The factors of the next 4, if there are any. */
function next4(factors: usize): usize {
  return factors ? factors + 16 : 0;
}

/** x · sigmoid(1.702 x), absolute error < 3e-7 · max(1, |x|), relative error < 1e-6 for x ≥ −5 (of exp). OpenAI's CLIP. */
export function quickGelu(x: usize, count: i32, factors: usize): void {
  for (const end = x + (<usize>count << 2); x < end; x += 16) {
    const v = v128.load(x);
    store4(x, f32x4.div(v, f32x4.add(constant(ONE), exp4(f32x4.mul(v, constant(QUICK_GELU))))), factors);
    factors = next4(factors);
  }
}

/** ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))) = x · sigmoid(2 √(2/π) (…)), absolute error < 3e-7 · max(1, |x|). SigLIP. */
export function geluTanh(x: usize, count: i32, factors: usize): void {
  for (const end = x + (<usize>count << 2); x < end; x += 16) {
    const v = v128.load(x);
    const inner = f32x4.add(constant(GELU_TANH), f32x4.mul(f32x4.mul(v, v), constant(GELU_TANH + 1)));
    store4(x, f32x4.div(v, f32x4.add(constant(ONE), exp4(f32x4.mul(v, inner)))), factors);
    factors = next4(factors);
  }
}

/**
 * x Φ(x) = ½ x (1 + erf(x / √2)), absolute error < 3e-7 · max(1, |x|). OpenCLIP.
 * erf by Abramowitz and Stegun 7.1.26, 1 − (a₁t + … + a₅t⁵) exp(−z²) with t = 1 / (1 + 0.3275911 z), |error| ≤ 1.5e-7.
 */
export function gelu(x: usize, count: i32, factors: usize): void {
  for (const end = x + (<usize>count << 2); x < end; x += 16) {
    const v = v128.load(x);
    const size = f32x4.abs(v);
    const z = f32x4.mul(size, constant(SQRT_HALF));
    const t = f32x4.div(constant(ONE), f32x4.add(constant(ONE), f32x4.mul(z, constant(ERF))));
    const p = f32x4.mul(t, polynomial4(t, ERF + 1));
    const erf = f32x4.sub(constant(ONE), f32x4.mul(p, exp4(f32x4.neg(f32x4.mul(z, z)))));
    // x erf(x / √2) = |x| erf(|x| / √2)
    store4(x, f32x4.mul(constant(HALF), f32x4.add(v, f32x4.mul(size, erf))), factors);
    factors = next4(factors);
  }
}

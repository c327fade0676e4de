/** The activations of the MLP, in place, [count] float32, count a multiple of 4. NaN stays NaN. */
import { exp4 } from './simd';

/** x · sigmoid(1.702 x), relative error < 1e-6 (of exp). OpenAI's CLIP. */
export function quickGelu(x: usize, count: i32): void {
  for (const end = x + (<usize>count << 2); x < end; x += 16) {
    const v = v128.load(x);
    v128.store(x, f32x4.div(v, f32x4.add(f32x4.splat(1), exp4(f32x4.mul(v, f32x4.splat(-1.702))))));
  }
}

/** ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))) = x · sigmoid(2 √(2/π) (…)), relative error < 2e-6. SigLIP. */
export function geluTanh(x: usize, count: i32): void {
  for (const end = x + (<usize>count << 2); x < end; x += 16) {
    const v = v128.load(x);
    const inner = f32x4.add(f32x4.splat(-1.5957691), f32x4.mul(f32x4.mul(v, v), f32x4.splat(-0.07135481)));
    v128.store(x, f32x4.div(v, f32x4.add(f32x4.splat(1), exp4(f32x4.mul(v, inner)))));
  }
}

/**
 * x Φ(x) = ½ x (1 + erf(x / √2)), absolute error < 3e-7 · max(1, |x|).
 * erf by Abramowitz and Stegun 7.1.26, 1 − (a₁t + … + a₅t⁵) exp(−z²) with t = 1 / (1 + 0.3275911 z), |error| ≤ 1.5e-7. OpenCLIP.
 */
export function gelu(x: usize, count: i32): void {
  const one = f32x4.splat(1);
  for (const end = x + (<usize>count << 2); x < end; x += 16) {
    const v = v128.load(x);
    const z = f32x4.mul(f32x4.abs(v), f32x4.splat(0.70710678));
    const t = f32x4.div(one, f32x4.add(one, f32x4.mul(z, f32x4.splat(0.3275911))));
    let p = f32x4.add(f32x4.splat(-1.453152027), f32x4.mul(t, f32x4.splat(1.061405429)));
    p = f32x4.add(f32x4.splat(1.421413741), f32x4.mul(t, p));
    p = f32x4.add(f32x4.splat(-0.284496736), f32x4.mul(t, p));
    p = f32x4.mul(t, f32x4.add(f32x4.splat(0.254829592), f32x4.mul(t, p)));
    const erf = f32x4.sub(one, f32x4.mul(p, exp4(f32x4.neg(f32x4.mul(z, z)))));
    // erf(−z) = −erf(z): |v| carries the sign
    const half = f32x4.splat(0.5);
    v128.store(x, f32x4.mul(half, f32x4.add(v, f32x4.mul(f32x4.abs(v), erf))));
  }
}

/**
 * Softmax attention of one head: softmax(q · kᵀ) · v, the two products in int16. The query arrives scaled by headDim^−½.
 *
 * Overflow: in q · kᵀ, headDim products of two factors ≤ limit = ⌊√((2³¹ − 1) / headDim)⌋ (12.5 bits with 64). In the product
 * with v, |v| ≤ VALUE_LIMIT = 2¹⁴ − 1, and a row's probabilities, each ≤ 32767, sum to ≤ 2¹⁷ − 1 after rounding. They are
 * divided by their sum after rounding, so that the weights of a mean sum to 1 however many tokens share them.
 *
 * Scales: one a query and one a key, one a dimension of v. So a token's own values lose nothing to others' outliers.
 */
import { panel } from './linear';
import { pack4Rows, quantise4Rows } from './quantise';
import { constant, exp4, round4, ROUNDER, sumOf } from './simd';

const VALUE_LIMIT: f32 = 16383;
const PROBABILITY_SUM: i32 = 131071;
/** What a masked score becomes: its exponential is 0 in all that follows. */
const MASKED: f32 = -1e30;

function productLimit(headDim: i32): f32 {
  return min<f32>(32767, <f32>Math.floor(Math.sqrt(2147483647.0 / <f64>headDim)));
}

/**
 * @param k [tokens padded to a multiple of 8, headDim] float32, `stride` bytes a row; what is past `tokens` is read, and masked later
 * @param keys [tokens / 8][headDim / 2][8 tokens][2] int16, rounded up
 * @param scales [tokens padded to a multiple of 8] float32
 */
export function packKeys(k: usize, stride: usize, tokens: i32, headDim: i32, keys: usize, scales: usize): void {
  const limit = productLimit(headDim);
  for (let token = 0; token < tokens; token += 8) {
    quantise4Rows(k, stride, headDim, keys, 32, scales, limit);
    quantise4Rows(k + stride * 4, stride, headDim, keys + 16, 32, scales + 16, limit);
    k += stride * 8;
    keys += <usize>headDim * 16;
    scales += 32;
  }
}

/** The largest |v| of 4 dimensions over all tokens → their scales and inverse scales (0 where all are 0). */
function valueFactors(v: usize, stride: usize, tokens: i32, scales: usize): v128 {
  const magnitude = i32x4.splat(0x7fffffff);
  let bits = i32x4.splat(0);
  for (let token = 0; token < tokens; token++) {
    bits = i32x4.max_s(bits, v128.and(v128.load(v), magnitude));
    v += stride;
  }
  v128.store(scales, f32x4.div(bits, f32x4.splat(VALUE_LIMIT)));
  const factors = f32x4.div(f32x4.splat(VALUE_LIMIT), bits);
  return v128.and(factors, f32x4.ge(bits, f32x4.splat(1e-30)));
}

/**
 * @param v [tokens, headDim] float32, `stride` bytes a row; with an odd number of tokens one row more is read, and not used
 * @param values [headDim / 8][tokens / 2, rounded up][8 dimensions][2 tokens] int16
 * @param scales [headDim] float32
 */
export function packValues(v: usize, stride: usize, tokens: i32, headDim: i32, values: usize, scales: usize): void {
  for (let dim = 0; dim < headDim; dim += 8) {
    const low = valueFactors(v, stride, tokens, scales);
    const high = valueFactors(v + 16, stride, tokens, scales + 16);
    let pair = v;
    for (let token = 0; token < tokens; token += 2) {
      const next = pair + stride;
      v128.store(values, interleave(round4(pair, low), round4(next, low)));
      v128.store(values, interleave(round4(pair + 16, high), round4(next + 16, high)), 16);
      values += 32;
      pair = next + stride;
    }
    v += 32;
    scales += 32;
  }
}

/** The low halves of 4 lanes of two tokens, side by side. */
function interleave(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
}

/**
 * Softmax of one row in place, not divided by its sum yet. Of `width` scores (a multiple of 8) the first `visible` count.
 * @returns the sum; NaN if a visible score is
 */
function exponentials(scores: usize, visible: i32, width: i32): f32 {
  for (let j = visible; j < width; j++) store<f32>(scores + (<usize>j << 2), MASKED);
  const end = scores + (<usize>width << 2);
  let tops = v128.load(scores);
  for (let at = scores + 16; at < end; at += 16) tops = f32x4.pmax(tops, v128.load(at));
  const top = max<f32>(
    max<f32>(f32x4.extract_lane(tops, 0), f32x4.extract_lane(tops, 1)),
    max<f32>(f32x4.extract_lane(tops, 2), f32x4.extract_lane(tops, 3)),
  );
  let sums = f32x4.splat(0);
  for (let at = scores; at < end; at += 16) {
    const e = exp4(f32x4.sub(v128.load(at), f32x4.splat(top)));
    sums = f32x4.add(sums, e);
    v128.store(at, e);
  }
  return sumOf(sums);
}

/**
 * @param q [queries padded to a multiple of 4, headDim] float32, `qStride` bytes a row
 * @param first the first query's position among the tokens: if `causal`, a query sees the keys up to its own
 * @param keys, keyScales, values, valueScales of `packKeys` and `packValues`
 * @param zeros [max(tokens padded to 8, headDim)] float32 of nothing but 0
 * @param scratch 6 * 4 * (tokens padded to 8) + 8 * headDim + 64 bytes
 * @param out [queries padded to a multiple of 4, headDim] float32, `outStride` bytes a row
 */
export function attend(
  q: usize, qStride: usize, queries: i32, first: i32, causal: bool, tokens: i32, headDim: i32,
  keys: usize, keyScales: usize, values: usize, valueScales: usize, zeros: usize, scratch: usize,
  out: usize, outStride: usize,
): void {
  const scales = scratch;
  const query = scratch + 64;
  const scores = query + <usize>headDim * 8;
  for (let row = 0; row < queries; row += 4) {
    const last = causal ? min(first + row + 4, tokens) : tokens;
    const width = (last + 7) & ~7;
    const scoreStride = <usize>width << 2;
    quantise4Rows(q, qStride, headDim, query, 16, scales, productLimit(headDim));
    for (let j: usize = 0; j < <usize>width; j += 8) {
      const key = keys + j * <usize>headDim * 2;
      panel<i16>(query, scales, 1, headDim >> 1, key, keyScales + j * 4, zeros, scores + j * 4, scoreStride, false);
    }
    const probabilities = scores + scoreStride * 4;
    softmax4Rows(scores, width, first + row, causal, tokens, probabilities, scales);
    const pairs = (last + 1) >> 1;
    const valuePairs: usize = (tokens + 1) >> 1;
    for (let dim: usize = 0; dim < <usize>headDim; dim += 8) {
      const value = values + dim * valuePairs * 4;
      panel<i16>(probabilities, scales, 1, pairs, value, valueScales + dim * 4, zeros, out + dim * 4, outStride, false);
    }
    q += qStride * 4;
    out += outStride * 4;
  }
}

function softmax4Rows(
  scores: usize, width: i32, position: i32, causal: bool, tokens: i32, packed: usize, scales: usize,
): void {
  const stride = <usize>width << 2;
  const f0 = softmaxFactor(scores, causal ? min(position + 1, tokens) : tokens, width, scales);
  const f1 = softmaxFactor(scores + stride, causal ? min(position + 2, tokens) : tokens, width, scales + 4);
  const f2 = softmaxFactor(scores + stride * 2, causal ? min(position + 3, tokens) : tokens, width, scales + 8);
  const f3 = softmaxFactor(scores + stride * 3, causal ? min(position + 4, tokens) : tokens, width, scales + 12);
  pack4Rows(scores, stride, width, packed, 16, f0, f1, f2, f3);
}

/** @returns what makes integers of a row of exponentials; their sum's inverse goes to `scale`, NaN if one of them is. */
function softmaxFactor(scores: usize, visible: i32, width: i32, scale: usize): f32 {
  const sum = exponentials(scores, visible, width);
  const factor = min<f32>(32767, <f32>(PROBABILITY_SUM - (width >> 1)) / sum);
  const factors = f32x4.splat(factor);
  let rounded = f32x4.splat(0);
  for (const end = scores + (<usize>width << 2); scores < end; scores += 16) {
    rounded = f32x4.add(rounded, f32x4.sub(round4(scores, factors), constant(ROUNDER)));
  }
  store<f32>(scale, 1 / sumOf(rounded));
  return factor;
}

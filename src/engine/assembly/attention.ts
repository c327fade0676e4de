/**
 * Softmax attention of one head: softmax(q · kᵀ) · v, the two products in int16. The query arrives scaled by headDim^−½.
 *
 * Every scale belongs to one query or one token, never to a whole sequence: what a query sees decides its output to the
 * last bit, so keys and values may be kept for the next sequence that begins alike. As v's scales s differ from token to
 * token, the mean is taken with the weights e · s (e: the exponentials) of v / s.
 *
 * Overflow: in q · kᵀ, headDim products of two factors ≤ limit = ⌊√((2³¹ − 1) / headDim)⌋ (12.5 bits with 64). In the mean,
 * |v / s| ≤ VALUE_LIMIT = 2¹⁴ − 1, and a query's weights, each ≤ 32767, sum to ≤ WEIGHT_SUM, with their rounding, by ½ of
 * each of at most 2048 tokens, to ≤ 2¹⁷ − 1. The result is multiplied by how the sum of the weights changed in rounding.
 */
import { panel } from './linear';
import { pack4Rows, quantise4Rows, rowFactor, SMALLEST } from './quantise';
import { constant, exp4, MASKED, MASKED_SCORE, round4, ROUNDER, sumOf } from './simd';

const VALUE_LIMIT: f32 = 16383;
const WEIGHT_SUM: f32 = 130047;
const ONES = memory.data<f32>([1, 1, 1, 1, 1, 1, 1, 1]);

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

/**
 * @param v [tokens, headDim] float32, `stride` bytes a row; with an odd number of tokens one row more is read, and not used
 * @param values [headDim / 8][tokens / 2, rounded up][8 dimensions][2 tokens] int16
 * @param scales [tokens padded to a multiple of 8] float32
 */
export function packValues(v: usize, stride: usize, tokens: i32, headDim: i32, values: usize, scales: usize): void {
  const pairs: usize = (tokens + 1) >> 1;
  const bytes = <usize>headDim << 2;
  for (let token = 0; token < tokens; token += 2) {
    const next = v + stride;
    const a = f32x4.splat(rowFactor(v, headDim, VALUE_LIMIT, scales));
    const b = f32x4.splat(rowFactor(next, headDim, VALUE_LIMIT, scales + 4));
    let to = values;
    for (let dim: usize = 0; dim < bytes; dim += 32) {
      v128.store(to, interleave(round4(v + dim, a), round4(next + dim, b)));
      v128.store(to, interleave(round4(v + dim + 16, a), round4(next + dim + 16, b)), 16);
      to += pairs * 32;
    }
    v = next + stride;
    values += 32;
    scales += 8;
  }
  // what is past the last token weighs nothing
  if (tokens & 1) store<f32>(scales - 4, 0);
  for (let token = tokens + (tokens & 1); token & 7; token += 2) {
    store<i64>(scales, 0);
    scales += 8;
  }
}

/** The low halves of 4 lanes of two tokens, side by side. */
function interleave(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
}

/** The largest of the scores, a multiple of 4 of them. */
function largestScore(scores: usize, end: usize): f32 {
  let tops = v128.load(scores);
  for (let at = scores + 16; at < end; at += 16) tops = f32x4.pmax(tops, v128.load(at));
  return largestLane(tops);
}

function largestLane(v: v128): f32 {
  return max<f32>(
    max<f32>(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)),
    max<f32>(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)),
  );
}

/**
 * Replaces a query's scores by e · s, e = exp(score − largest), or 0 past the first `visible` of `width` (a multiple of 8).
 * Stores what the mean's integers are multiplied by at `scale`: NaN if a score or a scale is, so that rounding hides none,
 * and if all scores are so low (below −10³⁰) that none is the largest.
 * @param valueScales s of each token
 * @returns what makes integers of the weights
 */
function softmaxFactor(scores: usize, visible: i32, width: i32, valueScales: usize, scale: usize): f32 {
  const end = scores + (<usize>width << 2);
  for (let at = scores + (<usize>visible << 2); at < end; at += 4) store<f32>(at, MASKED_SCORE);
  const top = f32x4.splat(largestScore(scores, end));
  let sums = f32x4.splat(0), weights = sums, tops = sums;
  for (let at = scores; at < end; at += 16) {
    const score = v128.load(at);
    const e = v128.and(exp4(f32x4.sub(score, top)), f32x4.ne(score, constant(MASKED)));
    const weight = f32x4.mul(e, v128.load(valueScales));
    sums = f32x4.add(sums, e);
    weights = f32x4.add(weights, weight);
    tops = f32x4.pmax(tops, weight);
    v128.store(at, weight);
    valueScales += 16;
  }
  const sum = sumOf(sums); // of which the largest score's is 1
  const weight = sum >= 1 ? sumOf(weights) : NaN;
  const largest = largestLane(tops);
  if (largest < SMALLEST) {
    store<f32>(scale, weight * 0);
    return 0;
  }
  const factor = min<f32>(<f32>32767 / largest, WEIGHT_SUM / weight);
  store<f32>(scale, weight / (roundedSum(scores, end, factor) * sum));
  return factor;
}

function roundedSum(weights: usize, end: usize, factor: f32): f32 {
  const factors = f32x4.splat(factor);
  let sums = f32x4.splat(0);
  for (; weights < end; weights += 16) {
    sums = f32x4.add(sums, f32x4.sub(round4(weights, factors), constant(ROUNDER)));
  }
  return sumOf(sums);
}

/**
 * @param q [queries padded to a multiple of 4, headDim] float32, `qStride` bytes a row
 * @param first the first query's position among the tokens: if `causal`, a query sees the keys up to its own
 * @param keys, keyScales, values, valueScales of `packKeys` and `packValues`
 * @param zeros [8] float32 of nothing but 0
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
    const weights = scores + scoreStride * 4;
    softmax4Rows(scores, width, causal ? first + row + 1 : tokens, last, valueScales, weights, scales);
    const pairs = (last + 1) >> 1;
    const valuePairs: usize = (tokens + 1) >> 1;
    for (let dim: usize = 0; dim < <usize>headDim; dim += 8) {
      const value = values + dim * valuePairs * 4;
      panel<i16>(weights, scales, 1, pairs, value, ONES, zeros, out + dim * 4, outStride, false);
    }
    q += qStride * 4;
    out += outStride * 4;
  }
}

/** @param visible how many tokens the first of the four queries sees; the others each one more, but at most `last` */
function softmax4Rows(
  scores: usize, width: i32, visible: i32, last: i32, valueScales: usize, packed: usize, scales: usize,
): void {
  const stride = <usize>width << 2;
  const f0 = softmaxFactor(scores, visible, width, valueScales, scales);
  const f1 = softmaxFactor(scores + stride, min(visible + 1, last), width, valueScales, scales + 4);
  const f2 = softmaxFactor(scores + stride * 2, min(visible + 2, last), width, valueScales, scales + 8);
  const f3 = softmaxFactor(scores + stride * 3, min(visible + 3, last), width, valueScales, scales + 12);
  pack4Rows(scores, stride, width, packed, 16, f0, f1, f2, f3);
}

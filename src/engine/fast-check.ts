/** A fast product counts on bounds of its weights (assembly/fast.ts): a model that does not keep them is refused. */
import { EngineError } from './engine-error.ts';
import type { Kernels } from './kernels.ts';
import type { FastProduct, Linear } from './operations.ts';
import { GROUP } from './tensors.ts';

type FastLinear = Linear & { fast: FastProduct };

/** The most that four weights of one sign may sum to whose products are added in int16. */
const LANE = 258;

/** @throws EngineError naming the tensor, and what it has and should have */
export function checkFastLinear(kernels: Kernels, name: string, linear: FastLinear): void {
  const { weight, inputs, outputs, fast } = linear;
  const panel = kernels.checkFast(weight, inputs, fast.starts, fast.startStride, outputs / 8, fast.zero);
  if (panel === outputs / 8) return;
  for (let output = panel * 8; output < panel * 8 + 8; output++) {
    const weights = weightsOf(kernels.memory.buffer, linear, output);
    checkLanes(`${name}.weight`, weights, output);
    checkStarts(`${name}.start`, weights, { starts: startsOf(kernels.memory.buffer, linear, output), linear, output });
  }
  throw new EngineError(
    `tensor "${name}.weight" is beyond the bounds of the fast product in outputs ${panel * 8} to ${panel * 8 + 7}`,
  );
}

/** [inputs], out of [outputs / 8][inputs / 4][8][4] */
function weightsOf(memory: ArrayBufferLike, { weight, inputs }: FastLinear, output: number): number[] {
  const panel = new Int8Array(memory, weight + (output >> 3) * inputs * 8, inputs * 8);
  return Array.from({ length: inputs }, (_, k) => panel[(k >> 2) * 32 + (output & 7) * 4 + (k & 3)]);
}

/** [groups], out of [groups, outputs] */
function startsOf(memory: ArrayBufferLike, { inputs, fast }: FastLinear, output: number): number[] {
  const view = new DataView(memory);
  const groups = Math.ceil(inputs / GROUP);
  return Array.from({ length: groups }, (_, i) => view.getInt32(fast.starts + i * fast.startStride + output * 4, true));
}

function checkLanes(name: string, weights: readonly number[], output: number): void {
  for (let i = 0; i < weights.length; i += i % 8 === 2 ? 6 : 2) {
    const lane = [0, 1, 4, 5].map((k) => weights[i + k]);
    const sumOf = (sign: number) => lane.reduce((sum, w) => sum + Math.max(0, sign * w), 0);
    const sum = Math.max(sumOf(1), sumOf(-1));
    if (sum > LANE) {
      throw new EngineError(
        `tensor "${name}" has weights [${lane}] of output ${output}, which sum to ${sum}, above ${LANE}`,
      );
    }
  }
}

function checkStarts(
  name: string,
  weights: readonly number[],
  { starts, linear, output }: { starts: readonly number[]; linear: FastLinear; output: number },
): void {
  for (const [group, start] of starts.entries()) {
    const sum = weights.slice(group * GROUP, (group + 1) * GROUP).reduce((a, b) => a + b, 0);
    const expected = 0 - linear.fast.zero * sum;
    if (start !== expected) {
      throw new EngineError(`tensor "${name}" has ${start} at [${group},${output}], its weights need ${expected}`);
    }
  }
}

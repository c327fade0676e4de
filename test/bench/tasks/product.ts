/** The engine's fast matrix product alone: how fast it could be if there were nothing else to do. */
import { loadKernels, planMemory } from '../../../src/engine/kernels.ts';
import { roomFor } from '../../../src/engine/operations.ts';
import { groupsOf } from '../../../src/engine/tensors.ts';
import { createRandom } from '../random.ts';

/** @returns a call of y = x · Wᵀ + bias, [rows, inputs] · [inputs, outputs], of activations that are packed already */
export async function createProduct({ rows, inputs, outputs }: { rows: number; inputs: number; outputs: number }) {
  const kernels = await loadKernels();
  const plan = planMemory(kernels);
  const room = roomFor(rows);
  const packed = plan.take(room * inputs); // codes
  const scales = plan.take(room * groupsOf(inputs) * 4);
  const weights = plan.take(inputs * outputs);
  const starts = plan.take(groupsOf(inputs) * outputs * 4);
  const columnScales = plan.take(outputs * 4);
  const bias = plan.take(outputs * 4);
  const y = plan.take(room * outputs * 4);
  const memory = plan.allocate();
  const random = createRandom(rows);
  const fill = (array: Int8Array | Float32Array, [least, most]: [number, number]) => {
    for (let i = 0; i < array.length; i++) array[i] = least + random() * (most - least);
  };
  fill(new Int8Array(memory, packed, room * inputs), [0, 127]);
  fill(new Int8Array(memory, weights, inputs * outputs), [-64, 64]);
  fill(new Float32Array(memory, scales, room * groupsOf(inputs)), [1e-4, 2e-4]);
  fill(new Float32Array(memory, columnScales, outputs), [1e-3, 1e-2]);
  const linear = [weights, starts, outputs * 4, columnScales, bias, outputs / 8] as const;
  return () => kernels.linearFast(packed, scales, rows, inputs, ...linear, y, outputs * 4, false);
}

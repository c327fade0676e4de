/** The engine's matrix product alone: how fast it could be if there were nothing else to do. */
import { loadKernels, planMemory } from '../../../src/engine/kernels.ts';
import { roomFor } from '../../../src/engine/operations.ts';
import { padInputs } from '../../../src/engine/tensors.ts';
import { createRandom } from '../random.ts';

/** @returns a call of y = x · Wᵀ + bias, [rows, inputs] · [inputs, outputs] */
export async function createProduct({ rows, inputs, outputs }: { rows: number; inputs: number; outputs: number }) {
  const kernels = await loadKernels();
  const plan = planMemory(kernels);
  const [room, columns] = [roomFor(rows), padInputs(inputs)];
  const packed = plan.take(room * columns * 2); // int16
  const scales = plan.take(room * 4);
  const weights = plan.take(columns * outputs);
  const columnScales = plan.take(outputs * 4);
  const bias = plan.take(outputs * 4);
  const y = plan.take(room * outputs * 4);
  const memory = plan.allocate();
  const random = createRandom(rows);
  const fill = (array: Int8Array | Int16Array | Float32Array, most: number) => {
    for (let i = 0; i < array.length; i++) array[i] = (2 * random() - 1) * most;
  };
  fill(new Int16Array(memory, packed, room * columns), 8191);
  fill(new Int8Array(memory, weights, columns * outputs), 127);
  fill(new Float32Array(memory, scales, room), 1e-4);
  fill(new Float32Array(memory, columnScales, outputs), 1e-2);
  return () =>
    kernels.linear(packed, scales, rows, columns, weights, columnScales, bias, outputs / 8, y, outputs * 4, false);
}

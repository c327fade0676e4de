/** The weights where they lie in the engine's memory, as the operations take them. */
import { checkFastLinear } from './fast-check.ts';
import type { Kernels } from './kernels.ts';
import { locateTensors, type ModelFile, type TensorOffsets } from './model-file.ts';
import type { Linear, Norm } from './operations.ts';
import type { TensorSpec } from './tensors.ts';

/** By the name of a tensor, or of what it belongs to. */
export interface Weights {
  /** undefined: the file has no such tensor */
  find(name: string): number | undefined;
  at(name: string): number;
  /** @throws EngineError if it is a fast one that does not keep the bounds of its product */
  linear(name: string, outputs: number, inputs: number): Linear;
  norm(name: string): Norm;
}

/** In the middle of the codes 1 … 127 that inputs of both signs have. Those that come with a factor are never negative. */
const SIGNED_ZERO = 64;

interface WeightsFile {
  kernels: Kernels;
  file: ModelFile;
  /** where it is to lie */
  fileAt: number;
  /** as many zeros as any product without a bias has outputs */
  noBias: number;
}

/** @throws EngineError, and what `file.readInto` throws */
export async function readWeights(
  { kernels, file, fileAt, noBias }: WeightsFile,
  specs: readonly TensorSpec[],
): Promise<Weights> {
  const bytes = new Uint8Array(kernels.memory.buffer as ArrayBuffer, fileAt, file.bytes);
  await file.readInto(bytes);
  return createWeights(kernels, locateTensors(kernels, bytes, specs), { fileAt, noBias });
}

/** @param offsets of the tensors, all of which are there but the optional ones, in a file that lies at `fileAt` */
function createWeights(
  kernels: Kernels,
  offsets: TensorOffsets,
  { fileAt, noBias }: { fileAt: number; noBias: number },
): Weights {
  const find = (name: string) => {
    const offset = offsets.get(name);
    return offset === undefined ? undefined : fileAt + offset;
  };
  const at = (name: string) => find(name)!; // all that must be there has been found
  return {
    find,
    at,
    linear: (name, outputs, inputs) => {
      const [weight, scale, bias] = [at(`${name}.weight`), at(`${name}.scale`), find(`${name}.bias`) ?? noBias];
      const linear = { weight, scale, bias, inputs, outputs };
      const starts = find(`${name}.start`);
      if (starts === undefined) return linear;
      const zero = find(`${name}.factor`) === undefined ? SIGNED_ZERO : 0;
      const fast = { ...linear, fast: { starts, startStride: outputs * 4, zero } };
      checkFastLinear(kernels, name, fast);
      return fast;
    },
    norm: (name) => ({ weight: at(`${name}.weight`), bias: at(`${name}.bias`) }),
  };
}

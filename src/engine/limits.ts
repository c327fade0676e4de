/** What no kernel could run, or no file of so many bytes could hold: found before there is memory for it. */
import { EngineError } from './engine-error.ts';

/** By the bound of attention's sums (assembly/attention.ts). */
const MAX_TOKENS = 2048;

/** Of a product: each activation then has 7 bits at least (assembly/quantise.ts). */
const MAX_INPUTS = 2 ** 17;

export interface Demands {
  /** of one attention */
  tokens: number;
  /** of the largest product */
  inputs: number;
  embeddingDim: number;
  /** bytes of weights that the blocks have at least */
  blocks: { count: number; weights: number };
}

/** @throws EngineError */
export function checkLimits({ tokens, inputs, embeddingDim, blocks }: Demands, fileBytes: number): void {
  if (tokens > MAX_TOKENS) {
    throw new EngineError(`the model takes ${tokens} tokens, attention at most ${MAX_TOKENS}`);
  }
  if (embeddingDim % 8 > 0) {
    throw new EngineError(`the embedding has ${embeddingDim} dimensions, a product makes a multiple of 8`);
  }
  if (inputs > MAX_INPUTS) throw new EngineError(`a product has ${inputs} inputs, at most ${MAX_INPUTS} are taken`);
  if (blocks.weights > fileBytes) {
    throw new EngineError(
      `the architecture's ${blocks.count} blocks have ${blocks.weights} bytes of weights, the file ${fileBytes}`,
    );
  }
}

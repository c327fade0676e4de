/**
 * The text encoder of CLIP (OpenAI's clip/model.py, `CLIP.encode_text`) and of SigLIP (transformers' `SiglipTextModel`).
 * A text is computed at its own length, except where the model was trained to see the padding. What a causal text begins
 * with like the one before it, as prompts of one template do, is not computed again.
 */
import type { TextArchitecture } from '../clip/architecture.ts';
import type { ClipTextEncoder, TokenIds } from '../clip/encoders.ts';
import { EngineError } from './engine-error.ts';
import { textTensors } from './tensors.ts';
import { loadTower } from './tower.ts';
import type { ModelFile } from './weights.ts';

export interface TextEncoderSpec {
  architecture: TextArchitecture;
  vocabularySize: number;
  contextLength: number;
  endOfText: number;
  /** a text is filled up to `contextLength` tokens with it; null: no text is */
  padId: number | null;
  embeddingDim: number;
}

const none: TokenIds = new Int32Array(0);

/** How many tokens two texts begin with that are the same. */
function commonStart(a: TokenIds, b: TokenIds): number {
  const end = a.findIndex((id, i) => id !== b[i]);
  return end < 0 ? a.length : end;
}

/** @throws EngineError, and what `file.readInto` throws */
export async function loadTextEncoder(spec: TextEncoderSpec, file: ModelFile): Promise<ClipTextEncoder> {
  const { architecture, vocabularySize, contextLength, endOfText, padId, embeddingDim } = spec;
  const { kernels, buffers, input, memory, weights, finish } = await loadTower(
    {
      shape: architecture,
      pooling: architecture.pooling,
      embeddingDim,
      maxTokens: contextLength,
      tensors: textTensors(architecture, spec),
      room: { wide: 0, input: contextLength * 4 },
    },
    file,
  );
  const ids = new Int32Array(memory, input, contextLength);
  const [table, scales] = [weights.at('tokens.weight'), weights.at('tokens.scale')];
  const positions = weights.at('positions');

  const { width } = architecture;
  let before = none;

  /** The tokens from `known` on, into their rows of x. */
  function embed(text: TokenIds, known: number): void {
    ids.set(text.subarray(known));
    const skipped = known * width * 4;
    const count = text.length - known;
    kernels.embedTokens(input, count, table, scales, positions + skipped, width, buffers.x.at + skipped);
  }

  function check(tokenIds: TokenIds): void {
    if (tokenIds.length === 0 || tokenIds.length > contextLength) {
      throw new EngineError(`a text has ${tokenIds.length} tokens, this encoder takes 1 to ${contextLength}`);
    }
    const wrong = tokenIds.find((id) => id < 0 || id >= vocabularySize);
    if (wrong !== undefined) throw new EngineError(`token ${wrong} is not below ${vocabularySize}`);
  }

  function padded(tokenIds: TokenIds): TokenIds {
    if (padId === null) return tokenIds;
    const whole = new Int32Array(contextLength).fill(padId);
    whole.set(tokenIds);
    return whole;
  }

  function pooledToken(text: TokenIds): number {
    const end = architecture.pooling === 'first-eot' ? text.indexOf(endOfText) : -1;
    return end < 0 ? text.length - 1 : end;
  }

  return {
    async encodeText(tokenIds) {
      check(tokenIds);
      const whole = padded(tokenIds);
      const pooled = pooledToken(whole);
      // what a causal Transformer's token does not see need not be there
      const tokens = architecture.causal ? pooled + 1 : whole.length;
      const text = whole.slice(0, tokens);
      const known = architecture.causal ? Math.min(commonStart(text, before), pooled) : 0;
      before = none; // until its keys and values are all there
      embed(text, known);
      const embedding = finish({ known, tokens, wanted: { first: pooled, count: 1 } });
      before = text;
      return embedding;
    },
  };
}

/**
 * Encoders on onnxruntime-web: any ONNX graph of `clip-export`. The one importer of onnxruntime-web.
 * Its WebAssembly is a module of the Worker's bundle, since workerd compiles nothing at request time.
 */

import wasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm';
import * as ort from 'onnxruntime-web/wasm';
import { type ClipImageEncoder, type ClipTextEncoder, type Embedding, type Padding, padded } from '../clip/encoders.ts';
import { ClipError } from '../clip/errors.ts';
import { nextTurn } from './next-turn.ts';

// onnxruntime-web has no way to be given a compiled module. It instantiates `wasmBinary`, so that gets a value that
// only this hook knows, and the hook answers with the module; every other call passes through.
const SENTINEL = new Uint8Array(1);
const instantiate = WebAssembly.instantiate as (source: unknown, imports?: WebAssembly.Imports) => Promise<unknown>;
let heap: WebAssembly.Memory | undefined;
(WebAssembly as { instantiate: unknown }).instantiate = async (source: unknown, imports?: WebAssembly.Imports) => {
  if (!(source instanceof Uint8Array && source.length === 1)) return instantiate(source, imports);
  heap = Object.values(imports ?? {})
    .flatMap((members) => Object.values(members))
    .find((member) => member instanceof WebAssembly.Memory) as WebAssembly.Memory | undefined;
  return { instance: await instantiate(wasm, imports), module: wasm };
};
ort.env.wasm.wasmBinary = SENTINEL as unknown as ArrayBuffer;
ort.env.wasm.numThreads = 1;

/** Bytes of onnxruntime's heap, which never shrinks; 0 before the first model. For the bench. */
export const onnxHeapBytes = (): number => heap?.buffer.byteLength ?? 0;

/**
 * onnxruntime-web's `run` awaits between taking room on its wasm stack and giving it back, so two runs must not overlap.
 * It does no I/O: a run ends within the turn of the event loop in which it began. Whoever finds it busy waits for a
 * timer of its own and never for another request's promise, which would hang if that request is cancelled.
 */
let running = false;
let runs = 0;
async function alone<T>(work: () => Promise<T>): Promise<T> {
  // a thousand prompts must not keep other requests from their turn
  if (++runs % RUNS_A_TURN === 0) await nextTurn();
  const deadline = Date.now() + PATIENCE_MS;
  while (running) {
    if (Date.now() > deadline) throw new ClipError('model_unavailable', 'The model is busy; try again.');
    await nextTurn();
  }
  running = true;
  try {
    return await work();
  } finally {
    running = false;
  }
}

const RUNS_A_TURN = 8;
const PATIENCE_MS = 30_000;

async function createSession(model: Uint8Array): Promise<ort.InferenceSession> {
  try {
    return await ort.InferenceSession.create(model, { executionProviders: ['wasm'], logSeverityLevel: 3 });
  } catch (cause) {
    throw new ClipError(
      'model_unavailable',
      'onnxruntime-web cannot load this model; export it again with clip-export.',
      {
        cause,
      },
    );
  }
}

interface GraphNames {
  input: string;
  output: string;
}

async function run(
  session: ort.InferenceSession,
  { input, output }: GraphNames,
  { tensor, embeddingDim }: { tensor: ort.Tensor; embeddingDim: number },
): Promise<Embedding> {
  const results = await alone(() => session.run({ [input]: tensor }));
  const { dims, data } = results[output];
  if (dims.length !== 2 || dims[0] !== 1 || dims[1] !== embeddingDim) {
    throw new ClipError(
      'model_unavailable',
      `The graph's "${output}" is [${dims}], its manifest says [1, ${embeddingDim}].`,
    );
  }
  return data as Float32Array;
}

/**
 * @param model an ONNX graph `pixel_values` float32 [batch, 3, size, size] → `image_embeds` [batch, embeddingDim], unit rows
 * @throws model_unavailable
 */
export async function createOnnxImageEncoder(
  model: Uint8Array,
  { size, embeddingDim }: { size: number; embeddingDim: number },
): Promise<ClipImageEncoder> {
  const session = await createSession(model);
  return {
    encodeImage(pixelValues) {
      const tensor = new ort.Tensor('float32', pixelValues, [1, 3, size, size]);
      return run(session, { input: 'pixel_values', output: 'image_embeds' }, { tensor, embeddingDim });
    },
  };
}

/**
 * One text a run: dynamic quantisation takes its scale from the whole batch, and a text must not depend on its neighbours.
 * @param model an ONNX graph `input_ids` int32 [batch, length] → `text_embeds` [batch, embeddingDim], unit rows
 * @throws model_unavailable
 */
export async function createOnnxTextEncoder(
  model: Uint8Array,
  { embeddingDim, ...padding }: { embeddingDim: number } & Padding,
): Promise<ClipTextEncoder> {
  const session = await createSession(model);
  return {
    async encodeTexts(texts) {
      const embeddings: Embedding[] = [];
      for (const tokenIds of texts) {
        const ids = padded(tokenIds, padding);
        const tensor = new ort.Tensor('int32', ids, [1, ids.length]);
        embeddings.push(await run(session, { input: 'input_ids', output: 'text_embeds' }, { tensor, embeddingDim }));
      }
      return embeddings;
    },
  };
}

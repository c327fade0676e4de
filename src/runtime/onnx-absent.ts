/** Stands in for `onnx.ts` where all models run on the engine: 14 MB of WebAssembly less to deploy (wrangler.toml, [alias]). */
import { ClipError } from '../clip/errors.ts';
import type * as onnx from './onnx.ts';

const absent = () =>
  Promise.reject(
    new ClipError(
      'model_unavailable',
      'This model needs onnxruntime-web, which is left out here: comment out the two lines of [alias] in wrangler.toml.',
    ),
  );

export const createOnnxImageEncoder: typeof onnx.createOnnxImageEncoder = absent;

export const createOnnxTextEncoder: typeof onnx.createOnnxTextEncoder = absent;

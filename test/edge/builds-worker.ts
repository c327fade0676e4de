/** Encodes a picture with each build of the kernels, and with the one that the engine chooses. */
import { type ImageEncoderSpec, loadImageEncoder } from '../../src/engine/image-encoder.ts';
import { RELAXED_SIMD } from '../../src/engine/kernels.ts';
import { inMemory } from '../engine/in-memory.ts';

export interface Task {
  spec: ImageEncoderSpec;
  /** base64 */
  file: string;
  pixels: number[];
}

export default {
  async fetch(request: Request): Promise<Response> {
    const { spec, file, pixels } = await request.json<Task>();
    const bytes = Uint8Array.from(atob(file), (char) => char.charCodeAt(0));
    const embed = async (build: ImageEncoderSpec['build']) => {
      const encoder = await loadImageEncoder({ ...spec, build }, inMemory(bytes));
      return Array.from(await encoder.encodeImage(Float32Array.from(pixels)));
    };
    const embeddings = { chosen: await embed(undefined), relaxed: await embed('relaxed'), plain: await embed('plain') };
    return Response.json({ relaxedSimd: WebAssembly.validate(RELAXED_SIMD), ...embeddings });
  },
};

import type { ModelFile } from '../../src/engine/model-file.ts';

export const inMemory = (file: Uint8Array): ModelFile => ({
  bytes: file.length,
  readInto: async (target) => target.set(file),
});

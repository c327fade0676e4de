/** The kernels with relaxed SIMD and without: which is chosen, and that no embedding tells which it was. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { loadKernels, RELAXED_SIMD } from '../../src/engine/kernels.ts';
import { goldenModels } from './golden-models.ts';

/** The module that tells whether there is relaxed SIMD, its one instruction i16x8.relaxed_dot_i8x16_i7x16_s another. */
function withInstruction(...code: [number, number, number]): Uint8Array<ArrayBuffer> {
  const module = RELAXED_SIMD.slice();
  const at = module.lastIndexOf(253); // the prefix of SIMD
  expect([...module.subarray(at, at + 3)]).toEqual([253, 0x92, 0x02]); // 0x112
  module.set(code, at);
  return module;
}

describe('the module that asks for relaxed SIMD', () => {
  it('is valid here', () => expect(WebAssembly.validate(RELAXED_SIMD)).toBe(true));

  it('is so without it too, but for that instruction', () => {
    expect(WebAssembly.validate(withInstruction(253, 0xba, 0x01))).toBe(true); // i32x4.dot_i16x8_s
    expect(WebAssembly.validate(withInstruction(253, 0x9f, 0x02))).toBe(false); // none has this number
  });
});

describe('the build that is chosen', () => {
  afterEach(() => {
    vi.restoreAllMocks();
    vi.doUnmock('../../build/engine.wasm');
  });

  it('is the plain one where there is no relaxed SIMD: the other is not even looked at', async () => {
    vi.doMock('../../build/engine.wasm', () => Promise.reject(new Error('no relaxed SIMD')));
    await expect(loadKernels()).rejects.toThrow();
    const validate = vi.spyOn(WebAssembly, 'validate').mockReturnValue(false);
    await expect(loadKernels()).resolves.toBeDefined();
    expect(validate).toHaveBeenCalledWith(RELAXED_SIMD);
  });
});

describe.each(goldenModels)('$name', ({ loadImages, loadTexts, pictures, ids }) => {
  it('images', async () => {
    const [relaxed, plain] = [await loadImages({ build: 'relaxed' }), await loadImages({ build: 'plain' })];
    for (const picture of pictures) {
      expect(await plain.encodeImage(picture)).toEqual(await relaxed.encodeImage(picture));
    }
  });

  it('texts', async () => {
    const [relaxed, plain] = [await loadTexts({ build: 'relaxed' }), await loadTexts({ build: 'plain' })];
    expect(await plain.encodeTexts(ids)).toEqual(await relaxed.encodeTexts(ids));
  });
});

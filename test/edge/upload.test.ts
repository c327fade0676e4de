import { expect, it } from 'vitest';
import { bytesOf, dryRun } from '../upload.ts';

const MEGA = 1e6;

it('a default deployment’s Worker is smaller than 1 MB, without onnxruntime-web', async () => {
  const files = await dryRun();
  expect(files.map(({ name }) => name).join()).toMatch(/engine\.wasm/);
  expect(files.filter(({ name }) => name.includes('ort-wasm'))).toEqual([]);
  expect(bytesOf(files)).toBeLessThan(MEGA);
});

it('one with a model for onnxruntime-web has it', async () => {
  const files = await dryRun('test/edge/onnx.toml');
  expect(files.find(({ name }) => name.includes('ort-wasm'))?.bytes).toBeGreaterThan(10 * MEGA);
});

/** The engine in workerd gives the embeddings that it gives in Node, to the last bit, in either build. */
import { afterAll, describe, expect, it } from 'vitest';
import { goldenModels } from '../engine/golden-models.ts';
import type { Task } from './builds-worker.ts';
import { startServer } from './server.ts';

const server = await startServer('./test/edge/builds.toml');
afterAll(() => server.close());

describe.each(goldenModels)('$name', ({ imageSpec, imageFile, loadImages, pictures }) => {
  it('images', async () => {
    const expected = Array.from(await (await loadImages()).encodeImage(pictures[0]));
    const file = Buffer.from(imageFile).toString('base64');
    const task: Task = { spec: imageSpec, file, pixels: Array.from(pictures[0]) };
    const { body } = await server.post('/', task);
    expect(body).toEqual({ relaxedSimd: true, chosen: expected, relaxed: expected, plain: expected });
  });
});

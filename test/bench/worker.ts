/**
 * The Worker that the bench runs in workerd: the project's own modules, and the libraries that they are compared with.
 * `PUT /` holds a body for the tasks, so that it is in memory before a task is measured; `POST /<task>?options=<JSON>`
 * runs one and answers with its numbers as JSON. Not deployed, and no example of a Worker.
 */
import { parseModelManifest } from '../../src/clip/model-manifest.ts';
import { createOpenFile, readFile } from '../../src/runtime/bundle.ts';
import { decode } from './tasks/decode.ts';
import { firstAnswer, firstEmbedding } from './tasks/first-answer.ts';
import { imagesAndProduct } from './tasks/growth.ts';
import { decodeJpeg } from './tasks/jpeg-library.ts';
import { decodePng, pngPixels } from './tasks/png-library.ts';
import { resize } from './tasks/resize-library.ts';
import { imagesInTurns, textsInTurns } from './tasks/runtimes.ts';
import { score } from './tasks/score.ts';
import { tokenise } from './tasks/tokenise.ts';
import { createTokenizers, goldenTokens, tokenisePrompts } from './tasks/tokenizer-library.ts';

const TASKS = {
  decode,
  imagesInTurns,
  textsInTurns,
  imagesAndProduct,
  firstAnswer,
  firstEmbedding,
  score,
  tokenise,
  createTokenizers,
  tokenisePrompts,
  goldenTokens,
  resize,
  decodePng,
  pngPixels,
  decodeJpeg,
};

/** Name → function; the host calls them by these types. */
export type Tasks = typeof TASKS;

const MODEL = 'tiny-64';
let held = new Uint8Array(0);

export default {
  async fetch(request: Request, env: { ASSETS: Fetcher }): Promise<Response> {
    const url = new URL(request.url);
    if (request.method === 'PUT') {
      held = new Uint8Array(await request.arrayBuffer());
      return Response.json(held.length);
    }
    const task = TASKS[url.pathname.slice(1) as keyof Tasks] as (
      context: unknown,
      options: unknown,
    ) => Promise<unknown>;
    const openFile = createOpenFile(env.ASSETS);
    const manifestOf = async (id: string) =>
      parseModelManifest(
        JSON.parse(new TextDecoder().decode((await readFile(openFile, `${id}/model.json`)) ?? undefined)),
      );
    try {
      const options: unknown = JSON.parse(url.searchParams.get('options') ?? '{}');
      return Response.json(await task({ held, manifest: await manifestOf(MODEL), manifestOf, openFile }, options));
    } catch (error) {
      return new Response(error instanceof Error ? error.stack : String(error), { status: 500 });
    }
  },
};

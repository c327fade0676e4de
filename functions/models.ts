/** GET /v1/models: OpenAI's list, each model with what its manifest says of it in public. */
import type { Context } from 'hono';
import type { ModelManifest } from '../src/clip/model-manifest.ts';
import type { AppEnv, Parts } from './app.ts';

export async function listModels(c: Context<AppEnv>, { models }: Parts): Promise<Response> {
  const all = await Promise.allSettled(models.ids.map((id) => models.get(id)));
  const loaded = all.flatMap((model) => (model.status === 'fulfilled' ? [model.value] : []));
  const failed = all.find((model) => model.status === 'rejected');
  // one broken bundle does not hide the others
  if (failed) console.error(failed.reason);
  if (loaded.length === 0) throw failed?.reason;
  return c.json({ object: 'list', data: loaded.map(({ manifest }) => describe(manifest)) });
}

export async function getModel(c: Context<AppEnv>, { models }: Parts): Promise<Response> {
  const { manifest } = await models.get(c.req.param('id'));
  return c.json(describe(manifest));
}

/** Without the files: where they lie and what they hash to is the deployment's own affair. */
function describe(manifest: ModelManifest) {
  const { id, revision, title, license, source, embeddingDim, similarity, image, text, labelSets, quality } = manifest;
  return {
    id,
    object: 'model',
    created: 0, // OpenAI's clients want a number; a bundle has no date, so that exporting it twice gives the same bytes
    owned_by: 'edgeclip',
    revision,
    title,
    license,
    source,
    embeddingDim,
    similarity,
    image: { size: image.size, runtime: image.runtime },
    text: text ? { contextLength: text.contextLength, runtime: text.runtime } : null,
    labelSets: labelSets.map(({ name }) => name),
    quality,
  };
}

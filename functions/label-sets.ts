/** GET, PUT and DELETE /v1/label-sets: labels that are embedded once and then named. */
import type { Context } from 'hono';
import { z } from 'zod';
import { encodeLabelSet } from '../src/clip/label-set.ts';
import type { ModelManifest } from '../src/clip/model-manifest.ts';
import type { StoredLabelSet } from '../src/runtime/label-store.ts';
import type { AppEnv, Parts } from './app.ts';
import { embedOwnLabels } from './classify.ts';
import { Labels, Name, Templates } from './fields.ts';
import { parseJsonObject } from './json-body.ts';
import { parse } from './parse.ts';

export const LabelSetRequest = z.strictObject({
  labels: Labels,
  templates: Templates.optional(),
  model: Name.optional(),
});

export async function listLabelSets(c: Context<AppEnv>, { models, labelSets }: Parts): Promise<Response> {
  const { manifest } = await models.get(c.req.query('model'));
  return c.json({ model: manifest.id, labelSets: await labelSets.list(manifest) });
}

export async function getLabelSet(c: Context<AppEnv>, { models, labelSets }: Parts): Promise<Response> {
  const { manifest } = await models.get(c.req.query('model'));
  const name = nameOf(c);
  return c.json(describe(manifest, await labelSets.get(manifest, name)));
}

/** A JSON body's labels are embedded here; a safetensors body was made by `clip-export labels`. */
export async function putLabelSet(c: Context<AppEnv>, { models, labelSets }: Parts): Promise<Response> {
  const name = nameOf(c);
  const body = new Uint8Array(await c.req.raw.arrayBuffer());
  if (isSafeTensors(body)) {
    const { manifest } = await models.get(c.req.query('model'));
    return c.json(describe(manifest, await labelSets.put(manifest, name, body)));
  }
  const request = parse(LabelSetRequest, parseJsonObject(body, '{"labels": ["…"]}'));
  const model = await models.get(request.model ?? c.req.query('model'));
  const { id, revision } = model.manifest;
  const { truncated, ...embedded } = await embedOwnLabels(model, request, c.get('timing').measure);
  const file = encodeLabelSet({ name, model: id, revision, ...embedded });
  const description = describe(model.manifest, await labelSets.put(model.manifest, name, file));
  return c.json(truncated.length > 0 ? { ...description, truncated } : description);
}

export async function deleteLabelSet(c: Context<AppEnv>, { models, labelSets }: Parts): Promise<Response> {
  const { manifest } = await models.get(c.req.query('model'));
  await labelSets.delete(manifest, nameOf(c));
  return c.body(null, 204);
}

const nameOf = (c: Context<AppEnv>) => parse(z.object({ name: Name }), { name: c.req.param('name') }).name;

/** It begins with a header length that fits the file; read so, eight characters of JSON are more than any file has. */
function isSafeTensors(body: Uint8Array): boolean {
  if (body.length < 8) return false;
  return new DataView(body.buffer, body.byteOffset).getBigUint64(0, true) <= BigInt(body.length);
}

function describe(manifest: ModelManifest, { set, version, builtIn }: StoredLabelSet) {
  const { name, labels, templates, calibration } = set;
  return {
    name,
    version,
    model: manifest.id,
    revision: manifest.revision,
    builtIn,
    count: labels.length,
    templates,
    calibration: calibration && { ...calibration, background: calibration.background?.texts },
    labels,
  };
}

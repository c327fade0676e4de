/** A label set: labels with their text embeddings, computed once, so that a picture costs one product with a matrix. */
import { FieldError } from './checked-json.ts';
import { meanEmbedding } from './embedding.ts';
import type { Embedding } from './encoders.ts';
import { ClipError } from './errors.ts';
import { type Calibration, readCalibration } from './label-set-calibration.ts';
import { type Label, promptsOf } from './prompts.ts';
import { readSafeTensors, type SafeTensors, SafeTensorsError, writeSafeTensors } from './safetensors.ts';

export interface LabelSet {
  name: string;
  /** Id and revision of the model whose text encoder made the embeddings; no other model's pictures may meet them. */
  model: string;
  revision: string;
  labels: readonly string[];
  templates: readonly string[];
  /** [labels, embeddingDim], row-major, unit rows */
  embeddings: Float32Array;
  /** what `clip-export calibrate` added */
  calibration: Calibration | null;
}

/** What a label set must have been made for. */
export interface MadeFor {
  /** The model's revision: its id is only a name, and two ids of one revision share their sets. */
  revision: string;
  embeddingDim: number;
}

type Metadata = SafeTensors['metadata'];
type Tensors = SafeTensors['tensors'];

const FORMAT = 'edgeclip-label-set/1';

/** Names of label sets and of models. */
export const NAME_PATTERN = /^[a-z0-9][a-z0-9._-]{0,63}$/;

export type EmbedTexts = (texts: readonly string[]) => Promise<readonly Embedding[]>;

/** @returns [labels, embeddingDim]: per label the mean of its prompts' embeddings, normalised again */
export async function embedLabels(
  labels: readonly Label[],
  templates: readonly string[],
  embedTexts: EmbedTexts,
): Promise<Float32Array> {
  const prompts = promptsOf(labels, templates);
  const embeddings = await embedTexts(prompts.flat());
  const dim = embeddings[0].length;
  const rows = new Float32Array(labels.length * dim);
  let next = 0;
  for (const [i, { length }] of prompts.entries()) {
    rows.set(meanEmbedding(embeddings.slice(next, next + length)), i * dim);
    next += length;
  }
  return rows;
}

/** A set that is not calibrated. */
export function encodeLabelSet(set: Omit<LabelSet, 'calibration'>): Uint8Array<ArrayBuffer> {
  const { embeddings, labels, name, model, revision, templates } = set;
  const metadata = { name, model, revision, labels: JSON.stringify(labels), templates: JSON.stringify(templates) };
  const tensor = { shape: [labels.length, embeddings.length / labels.length], data: embeddings };
  return writeSafeTensors('embeddings', tensor, { ...metadata, format: FORMAT });
}

/**
 * Reads and checks a label set file.
 * @throws model_mismatch if it was made for another model or revision
 * @throws invalid_label_set if anything else about it is wrong
 */
export function decodeLabelSet(bytes: Uint8Array, madeFor: MadeFor): LabelSet {
  const { metadata, tensors } = readFile(bytes);
  if (metadata.format !== FORMAT) refuse(`its metadata "format" is ${quote(metadata.format)}, not "${FORMAT}"`);
  if (metadata.revision !== madeFor.revision) {
    throw new ClipError(
      'model_mismatch',
      `The label set was made for ${quote(metadata.model)} at revision ${quote(metadata.revision)}, this model is at "${madeFor.revision}"; make it again with this model's bundle.`,
    );
  }
  if (!metadata.model) refuse('its metadata "model" is missing');
  if (!NAME_PATTERN.test(metadata.name ?? '')) refuse(`its metadata "name" is ${quote(metadata.name)}`);
  const labels = strings(metadata, 'labels');
  if (labels.length === 0 || new Set(labels).size !== labels.length || labels.some((label) => label.trim() === '')) {
    refuse('its labels are none, empty or not distinct');
  }
  const embeddings = unitRows('embeddings', tensors, [labels.length, madeFor.embeddingDim]);
  const { name, model, revision } = metadata;
  const calibration = calibrationOf(metadata, tensors, madeFor.embeddingDim);
  return { name, model, revision, labels, templates: strings(metadata, 'templates'), embeddings, calibration };
}

const quote = (text: string | undefined) => (text === undefined ? 'missing' : `"${text.slice(0, 100)}"`);

function refuse(why: string, cause?: unknown): never {
  throw new ClipError('invalid_label_set', `The label set is not usable: ${why}; make it with clip-export labels.`, {
    cause,
  });
}

function readFile(bytes: Uint8Array) {
  try {
    return readSafeTensors(bytes);
  } catch (error) {
    if (error instanceof SafeTensorsError) refuse(error.message, error);
    throw error;
  }
}

function calibrationOf(metadata: Metadata, tensors: Tensors, embeddingDim: number): Calibration | null {
  try {
    const { background: texts = [], ...stated } = readCalibration(metadata);
    const rows = () => unitRows('background', tensors, [texts.length, embeddingDim]);
    const calibration = texts.length > 0 ? { ...stated, background: { texts, embeddings: rows() } } : stated;
    return Object.keys(calibration).length > 0 ? calibration : null;
  } catch (error) {
    if (error instanceof FieldError) refuse(`of its metadata, ${error.message}`, error);
    throw error;
  }
}

function strings(metadata: Metadata, key: string): string[] {
  let value: unknown;
  try {
    value = JSON.parse(metadata[key] ?? '');
  } catch (cause) {
    refuse(`its metadata "${key}" is not JSON`, cause);
  }
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    refuse(`its metadata "${key}" is not an array of strings`);
  }
  return value;
}

/** Float16 rounds a component by up to 2⁻¹², and a row's length by less than this. */
const LENGTH_TOLERANCE = 2e-3;

function unitRows(name: string, tensors: Tensors, shape: readonly [number, number]): Float32Array {
  const tensor = tensors.get(name);
  if (!(tensor?.data instanceof Float32Array)) refuse(`it has no float tensor "${name}"`);
  const { data } = tensor;
  if (tensor.shape.join() !== shape.join()) refuse(`"${name}" is [${tensor.shape}], expected [${shape}]`);
  for (let row = 0; row < shape[0]; row++) {
    let squares = 0;
    for (let i = row * shape[1]; i < (row + 1) * shape[1]; i++) squares += data[i] * data[i];
    // not "> tolerance": NaN must not pass
    if (!(Math.abs(Math.sqrt(squares) - 1) <= LENGTH_TOLERANCE)) refuse(`row ${row} of "${name}" has not length 1`);
  }
  return data;
}

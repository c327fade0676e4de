/**
 * A request → its fields and its files, whichever way they came: as JSON, as a multipart form, or as a raw body that is
 * the image itself with the fields in the query. Knows nothing of what the fields mean but which of them are lists and numbers.
 */
import { ClipError } from '../src/clip/errors.ts';
import { parseJsonObject } from './json-body.ts';

export interface RequestFields {
  /** in the shape that JSON has; not checked yet */
  fields: Record<string, unknown>;
  /** raw bodies and uploaded files, in order */
  files: Uint8Array[];
}

const LISTS = new Set(['labels', 'templates', 'texts', 'images']);
const NUMBERS = new Set(['topK', 'minScore']);
const UPLOADS = new Set(['image', 'images']);

const BRACE = 0x7b;

/** @throws invalid_json, invalid_request */
export async function readFields(request: Request): Promise<RequestFields> {
  const query = textFields(new URL(request.url).searchParams);
  const contentType = (request.headers.get('content-type') ?? '').toLowerCase();
  if (contentType.startsWith('multipart/form-data')) return readForm(request, query);
  const bytes = new Uint8Array(await request.arrayBuffer());
  // curl -d sends JSON as a form unless told otherwise; no image begins with a brace
  if (/^application\/(.+\+)?json\b/.test(contentType) || firstVisible(bytes) === BRACE) {
    return { fields: { ...query, ...parseJsonObject(bytes, '{"image": "…"}') }, files: [] };
  }
  return { fields: query, files: bytes.length > 0 ? [bytes] : [] };
}

const firstVisible = (bytes: Uint8Array) => bytes.find((byte) => byte > 0x20);

async function readForm(request: Request, query: Record<string, unknown>): Promise<RequestFields> {
  let form: FormData;
  try {
    form = await request.formData();
  } catch (cause) {
    throw new ClipError('invalid_request', 'The multipart form cannot be read; send it as curl -F does.', { cause });
  }
  const files: Uint8Array[] = [];
  const texts: [string, string][] = [];
  for (const [name, value] of form.entries()) {
    if (typeof value === 'string') texts.push([name, value]);
    else if (UPLOADS.has(name)) files.push(new Uint8Array(await value.arrayBuffer()));
    else throw new ClipError('invalid_request', `The form has a file "${name}"; name it image.`);
  }
  return { fields: { ...query, ...textFields(texts) }, files };
}

const MOST_FIELDS = 5000;

/**
 * Query or form fields → JSON's shape. A list is given by repeating its field, as a JSON array, or, if it is there once,
 * separated by commas.
 */
function textFields(entries: Iterable<[string, string]>): Record<string, unknown> {
  const values = new Map<string, string[]>();
  let count = 0;
  for (const [name, value] of entries) {
    if (++count > MOST_FIELDS) throw new ClipError('invalid_request', `More than ${MOST_FIELDS} fields are too many.`);
    const all = values.get(name);
    if (all) all.push(value);
    else values.set(name, [value]);
  }
  const fields: Record<string, unknown> = {};
  for (const [name, all] of values) fields[name] = fieldOf(name, all);
  return fields;
}

function fieldOf(name: string, values: string[]): unknown {
  if (LISTS.has(name)) return listOf(name, values);
  if (values.length > 1)
    throw new ClipError('invalid_request', `${name} is given ${values.length} times; give it once.`);
  // Number('') is 0, which nobody meant
  return NUMBERS.has(name) ? Number(values[0].trim() || Number.NaN) : values[0];
}

function listOf(name: string, values: string[]): unknown {
  if (values.length > 1) return values;
  const [value] = values;
  if (value.startsWith('[')) {
    try {
      return JSON.parse(value);
    } catch (cause) {
      throw new ClipError('invalid_request', `${name} begins like a JSON array but is none.`, { cause });
    }
  }
  // a data: URL has a comma of its own
  if (name === 'images') return values;
  return value === '' ? [] : value.split(',').map((item) => item.trim());
}

/**
 * A request → its fields and its files, whichever way they came: as JSON, as a multipart form, or as a raw body that is
 * the image itself with the fields in the query. Knows nothing of what the fields mean but which of them are lists and numbers.
 */
import { ClipError } from '../src/clip/errors.ts';

export interface RequestFields {
  /** in the shape that JSON has; not checked yet */
  fields: Record<string, unknown>;
  /** raw bodies and uploaded files, in order */
  files: Uint8Array[];
}

const LISTS = new Set(['labels', 'templates', 'texts', 'images']);
const NUMBERS = new Set(['topK', 'minScore']);
const UPLOADS = new Set(['image', 'images']);

/** @throws invalid_json, invalid_request */
export async function readFields(request: Request): Promise<RequestFields> {
  const query = textFields(new URL(request.url).searchParams);
  const contentType = request.headers.get('content-type') ?? '';
  if (contentType.startsWith('multipart/form-data')) return readForm(request, query);
  const bytes = new Uint8Array(await request.arrayBuffer());
  // curl -d sends JSON as a form unless told otherwise; no image begins with a brace
  if (/^application\/(.+\+)?json\b/.test(contentType) || bytes[0] === 0x7b) {
    return { fields: { ...query, ...parseJsonObject(bytes) }, files: [] };
  }
  return { fields: query, files: bytes.length > 0 ? [bytes] : [] };
}

/** @throws invalid_json */
export function parseJsonObject(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes));
  } catch (cause) {
    throw new ClipError('invalid_json', `The body is not valid JSON: ${(cause as Error).message}.`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const found = Array.isArray(value) ? 'an array' : value === null ? 'null' : `a ${typeof value}`;
    throw new ClipError('invalid_json', `The body is ${found}; send a JSON object like {"image": "…"}.`);
  }
  return value as Record<string, unknown>;
}

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

/**
 * Query or form fields → JSON's shape. A list is given by repeating its field, as a JSON array, or, if it is there once,
 * separated by commas.
 */
function textFields(entries: Iterable<[string, string]>): Record<string, unknown> {
  const values = new Map<string, string[]>();
  for (const [name, value] of entries) values.set(name, [...(values.get(name) ?? []), value]);
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

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
  const contentType = (request.headers.get('content-type') ?? '').toLowerCase();
  if (contentType.startsWith('multipart/form-data')) return readForm(request, query);
  const bytes = new Uint8Array(await request.arrayBuffer());
  // curl -d sends JSON as a form unless told otherwise; no image begins with a brace
  if (/^application\/(.+\+)?json\b/.test(contentType) || firstVisible(bytes) === BRACE) {
    return { fields: { ...query, ...parseJsonObject(bytes, '{"image": "…"}') }, files: [] };
  }
  return { fields: query, files: bytes.length > 0 ? [bytes] : [] };
}

const [QUOTE, COMMA, COLON, BRACKET, BRACE] = [0x22, 0x2c, 0x3a, 0x5b, 0x7b];
const BACKSLASH = 0x5c;
const firstVisible = (bytes: Uint8Array) => bytes.find((byte) => byte > 0x20);

/**
 * @param example what the caller should send, for messages
 * @throws invalid_json
 */
export function parseJsonObject(bytes: Uint8Array, example: string): Record<string, unknown> {
  checkStructure(bytes);
  const value = parseJson(decodeUtf8(bytes));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const found = Array.isArray(value) ? 'an array' : value === null ? 'null' : `a ${typeof value}`;
    throw new ClipError('invalid_json', `The body is ${found}; send a JSON object like ${example}.`);
  }
  return value as Record<string, unknown>;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    // a shell that took the double quotes away, or passed single ones on
    const quotes = /^\s*('|\{\s*\w)/.test(text);
    const hint = quotes ? ' It seems that the shell changed the quotes: send the JSON from a file.' : '';
    const why = (cause as Error).message.replace(/\.$/, '');
    throw new ClipError('invalid_json', `The body is not valid JSON: ${why}.${hint}`, { cause });
  }
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch (cause) {
    throw new ClipError(
      'invalid_json',
      'The body is not text, and JSON was expected. Send a picture or a safetensors file as the body itself, with another Content-Type or none.',
      { cause },
    );
  }
}

/** Commas, colons and brackets: several times what a request with a thousand labels and four thousand prompts has. */
const MOST_STRUCTURE = 50_000;

/** A body of millions of tiny values would become objects of many times its size: counted before it is parsed. */
function checkStructure(bytes: Uint8Array): void {
  let count = 0;
  for (let i = 0; i < bytes.length && count <= MOST_STRUCTURE; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) i = endOfString(bytes, i);
    else if (byte === COMMA || byte === COLON || byte === BRACKET || byte === BRACE) count++;
  }
  if (count > MOST_STRUCTURE) {
    const detail = `The JSON has more than ${MOST_STRUCTURE} commas, colons and brackets; send fewer values.`;
    throw new ClipError('invalid_json', detail);
  }
}

/** @returns where the string that begins at `start` ends, or the body's end. `indexOf` makes nothing of a picture's base64. */
function endOfString(bytes: Uint8Array, start: number): number {
  for (let end = bytes.indexOf(QUOTE, start + 1); end >= 0; end = bytes.indexOf(QUOTE, end + 1)) {
    let backslashes = 0;
    while (bytes[end - 1 - backslashes] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
  return bytes.length;
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

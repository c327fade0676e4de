import { z } from 'zod';
import { ClipError } from '../src/clip/errors.ts';

/** Checks what a caller sent against a schema. @throws invalid_request naming each field that is wrong */
export function parse<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const fields = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
  const details = result.error.issues.slice(0, 3).map((issue) => describe(issue, fields));
  throw new ClipError('invalid_request', `${details.join('; ')}.`);
}

const LONGEST_DETAIL = 300;

function describe(issue: z.core.$ZodIssue, fields: readonly string[]): string {
  const unknown = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  if (unknown !== undefined && issue.path.length === 0) return unknownField(unknown, fields);
  const message = unknown === undefined ? issue.message : `has an unknown field "${unknown}"`;
  return `${pathOf(issue.path)}${message}`.slice(0, LONGEST_DETAIL);
}

/** What people write who know other APIs. */
const ALIASES: Record<string, string> = {
  url: 'image',
  imageurl: 'image',
  img: 'image',
  file: 'image',
  picture: 'image',
  candidatelabels: 'labels',
  classes: 'labels',
  prompts: 'texts',
  text: 'texts',
  k: 'topK',
  threshold: 'minScore',
};

function unknownField(key: string, fields: readonly string[]): string {
  const plain = (name: string) => name.toLowerCase().replace(/[^a-z]/g, '');
  const alias = ALIASES[plain(key)];
  const meant = fields.find((name) => plain(name) === plain(key)) ?? fields.find((name) => name === alias);
  const hint = meant ? `did you mean ${meant}? ` : '';
  return `"${key.slice(0, 40)}" is no field here; ${hint}There are ${fields.join(', ')}`;
}

/** ["labels", 3, "prompts"] → "labels[3].prompts: " */
function pathOf(path: readonly PropertyKey[]): string {
  const text = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
  return text ? `${text.replace(/^\./, '')}: ` : '';
}

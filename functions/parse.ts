import type { z } from 'zod';
import { ClipError } from '../src/clip/errors.ts';

/** Checks what a caller sent against a schema. @throws invalid_request naming each field that is wrong */
export function parse<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const details = result.error.issues.slice(0, 3).map(({ path, message }) => `${pathOf(path)}${message}`);
  throw new ClipError('invalid_request', `${details.join('; ')}.`);
}

/** ["labels", 3, "prompts"] → "labels[3].prompts: " */
function pathOf(path: readonly PropertyKey[]): string {
  const text = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
  return text ? `${text.replace(/^\./, '')}: ` : '';
}

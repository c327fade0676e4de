/** Reads JSON that somebody else wrote: every access names the field, so that an error says where to look. */

/** A field that is not what it must be; the message begins with its path. */
export class FieldError extends Error {
  override readonly name = 'FieldError';
}

export interface Field {
  readonly path: string;
  /** The member `key`; of a missing or null member every reader but `optional` complains. */
  get(key: string): Field;
  /** undefined where the member is missing or null */
  optional(key: string): Field | undefined;
  string(pattern?: RegExp): string;
  number(check?: (x: number) => boolean): number;
  whole(): number;
  boolean(): boolean;
  oneOf<T extends string>(allowed: readonly T[]): T;
  /** An array of at least one item, or as many as are said. */
  items(min?: number, max?: number): Field[];
  record(): Record<string, unknown>;
}

export function field(value: unknown, path = ''): Field {
  const fail = (expected: string): never => {
    const found = JSON.stringify(value)?.slice(0, 80) ?? 'nothing';
    throw new FieldError(`${path || 'the file'} must be ${expected}, found ${found}`);
  };
  const record = () => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail('an object');
    return value as Record<string, unknown>;
  };
  const number = (check: (x: number) => boolean = () => true) =>
    typeof value === 'number' && Number.isFinite(value) && check(value) ? value : fail('a number in its range');
  const at = (key: string) => (path ? `${path}.${key}` : key);
  return {
    path,
    get: (key) => field(record()[key], at(key)),
    optional: (key) => (record()[key] == null ? undefined : field(record()[key], at(key))),
    string: (pattern = /./) =>
      typeof value === 'string' && pattern.test(value) ? value : fail(`a string like ${pattern.source}`),
    number,
    whole: () => number((x) => Number.isSafeInteger(x) && x > 0),
    boolean: () => (typeof value === 'boolean' ? value : fail('true or false')),
    oneOf: (allowed) => {
      const found = allowed.find((option) => option === value);
      return found ?? fail(`one of ${allowed.join(', ')}`);
    },
    items: (min = 1, max = Number.POSITIVE_INFINITY) =>
      Array.isArray(value) && value.length >= min && value.length <= max
        ? value.map((item, i) => field(item, `${path}[${i}]`))
        : fail(`an array of ${min === max ? min : `${min} or more`} items`),
    record,
  };
}

/** A body that must be a JSON object: bounded before it is parsed, with messages that say what was sent instead. */
import { ClipError } from '../src/clip/errors.ts';

const [QUOTE, COMMA, COLON, BRACKET, BRACE] = [0x22, 0x2c, 0x3a, 0x5b, 0x7b];
const BACKSLASH = 0x5c;

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

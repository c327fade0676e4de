/** Errors on the wire: RFC 9457 problem details. The one place where a code meets its HTTP status. */
import { ClipError, type ErrorCode } from '../src/clip/errors.ts';

/** Code → status and title. A title is the same for every occurrence; what happened this time is in `detail`. */
export const PROBLEMS: Record<ErrorCode, { status: number; title: string }> = {
  invalid_json: { status: 400, title: 'The body is not a JSON object' },
  invalid_request: { status: 400, title: 'A field of the request is not valid' },
  payload_too_large: { status: 413, title: 'The body is too large' },
  not_found: { status: 404, title: 'There is nothing at this path' },
  method_not_allowed: { status: 405, title: 'The path does not take this method' },
  missing_image: { status: 400, title: 'No image was sent' },
  too_many_images: { status: 400, title: 'Too many images in one request' },
  invalid_base64: { status: 400, title: 'The image is not valid base64' },
  unsupported_image: { status: 415, title: 'The image has a format that is not read' },
  corrupt_image: { status: 422, title: 'The image is broken' },
  image_too_large: { status: 413, title: 'The image is too large' },
  url_not_allowed: { status: 400, title: 'The image URL is not allowed' },
  image_unreachable: { status: 422, title: 'The image could not be fetched' },
  no_labels: { status: 400, title: 'No labels were given' },
  too_many_labels: { status: 400, title: 'Too many labels' },
  empty_label: { status: 400, title: 'A label is empty' },
  duplicate_label: { status: 400, title: 'A label is there twice' },
  invalid_template: { status: 400, title: 'A template is not valid' },
  too_many_prompts: { status: 400, title: 'Too many prompts for one request' },
  empty_text: { status: 400, title: 'A text is empty' },
  label_set_not_found: { status: 404, title: 'No such label set' },
  label_set_read_only: { status: 409, title: 'A built-in label set cannot be changed' },
  invalid_label_set: { status: 422, title: 'The label set file is not usable' },
  model_mismatch: { status: 409, title: 'The label set was made for another model' },
  too_many_writes: { status: 429, title: 'The label set was written a moment ago' },
  model_not_found: { status: 404, title: 'No such model' },
  no_text_encoder: { status: 422, title: 'The model has no text encoder' },
  model_unavailable: { status: 500, title: 'The model could not be loaded' },
  internal_error: { status: 500, title: 'Something went wrong here' },
};

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
}

/** Anything thrown → problem details. What is not a ClipError is a fault of ours: logged, and told without its message. */
export function problemOf(error: unknown): Problem {
  const known = error instanceof ClipError;
  if (!known || PROBLEMS[error.code].status >= 500) console.error(error);
  const code = known ? error.code : 'internal_error';
  const detail = known
    ? error.message
    : 'The request was not at fault; try again, and report the requestId if it stays.';
  return { type: `urn:edgeclip:problem:${code}`, ...PROBLEMS[code], detail, code };
}

/**
 * The closed set of things that can go wrong, each with a stable code.
 * HTTP statuses and titles are given to the codes in `functions/problem.ts`, once.
 */
export type ErrorCode =
  // the request
  | 'invalid_json'
  | 'invalid_request'
  | 'payload_too_large'
  | 'not_found'
  | 'method_not_allowed'
  // images
  | 'missing_image'
  | 'too_many_images'
  | 'invalid_base64'
  | 'unsupported_image'
  | 'corrupt_image'
  | 'image_too_large'
  | 'url_not_allowed'
  | 'image_unreachable'
  // labels and texts
  | 'no_labels'
  | 'too_many_labels'
  | 'empty_label'
  | 'duplicate_label'
  | 'invalid_template'
  | 'too_many_prompts'
  | 'empty_text'
  // label sets and models
  | 'label_set_not_found'
  | 'label_set_read_only'
  | 'invalid_label_set'
  | 'model_mismatch'
  | 'too_many_writes'
  | 'model_not_found'
  | 'no_text_encoder'
  | 'model_unavailable'
  | 'internal_error';

/** An error that a caller can act on: `message` says what is wrong, with the value and the limit, and what to change. */
export class ClipError extends Error {
  override readonly name = 'ClipError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

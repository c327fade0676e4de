/** A file of a model bundle, as a manifest names it. */
import type { Field } from './checked-json.ts';

/** A file of the bundle, or one part of a file that was split: parts are joined in the manifest's order. */
export interface BundleFile {
  /** relative to the bundle's folder */
  path: string;
  bytes: number;
  /** of these bytes, lower-case hexadecimal */
  sha256: string;
}

export const SHA256 = /^[0-9a-f]{64}$/;
/** No absolute path, no "..": a bundle cannot reach outside its folder. */
const RELATIVE_PATH = /^(?!.*\.\.)[\w-][\w./-]*$/;

export const parseFiles = (of: Field): BundleFile[] => of.items().map(parseFile);

export function parseFile(of: Field): BundleFile {
  return {
    path: of.get('path').string(RELATIVE_PATH),
    bytes: of.get('bytes').whole(),
    sha256: of.get('sha256').string(SHA256),
  };
}

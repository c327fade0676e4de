/**
 * `npm run test:pipeline`: the Python package's checks and tests, in a virtual environment that it makes once.
 * Without Python 3.11 or newer it says so loudly and succeeds, since the rest of the project does not need Python.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const venv = path.join(here, '.test-venv'); // not .venv, which is the user's own
const stamp = path.join(venv, 'installed-from');
const bin = path.join(venv, process.platform === 'win32' ? 'Scripts' : 'bin');
const tool = (name) => path.join(bin, process.platform === 'win32' ? `${name}.exe` : name);

const CANDIDATES = [['python3.13'], ['python3.12'], ['python3.11'], ['python3'], ['python'], ['py', '-3']];
/** fails for an old Python and for one without venv (Debian has it in a package of its own) */
const USABLE = 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))';

/** Whether this command is a Python that really runs: a pyenv shim may exist and fail. */
const runs = ([command, ...options]) =>
  spawnSync(command, [...options, '-c', USABLE], { stdio: 'ignore', timeout: 30_000 }).status === 0;

/** Runs a command in this folder; ends this process with its exit code if it fails. */
function run(command, ...options) {
  const { status, error } = spawnSync(command, options, { cwd: here, stdio: 'inherit' });
  if (status === 0) return;
  console.error(
    `\nmodel-export: ${path.basename(command)} ${options.join(' ')} failed ${error ?? `with exit code ${status}`}`,
  );
  process.exit(status || 1);
}

function install([command, ...options], wanted) {
  console.log('model-export: installing the Python packages (PyTorch among them: some minutes, some gigabytes, once)');
  rmSync(venv, { recursive: true, force: true });
  run(command, ...options, '-m', 'venv', venv);
  run(tool('python'), '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-c', 'constraints.txt', 'uv');
  run(tool('uv'), 'pip', 'install', '--python', tool('python'), '-c', 'constraints.txt', '-e', '.[dev]');
  writeFileSync(stamp, wanted); // last: an installation that broke off is made again
}

const wanted = ['pyproject.toml', 'constraints.txt']
  .reduce((hash, file) => hash.update(readFileSync(path.join(here, file))), createHash('sha256'))
  .digest('hex');
// a virtual environment breaks when its Python is upgraded away
const installed = existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && runs([tool('python')]);
const python = installed ? [tool('python')] : CANDIDATES.find(runs);

if (!python) {
  console.warn(`
******************************************************************************
  WARNING: the tests of model-export DID NOT RUN.
  They need Python 3.11 or newer with its venv module, and none was found
  (tried: ${CANDIDATES.map((parts) => parts.join(' ')).join(', ')}).
  The Worker and its tests do not need it; exporting your own model does.
******************************************************************************
`);
  process.exit(0);
}
if (!installed) install(python, wanted);
run(tool('python'), '-m', 'ruff', 'check', '.');
run(tool('python'), '-m', 'ruff', 'format', '--check', '.');
run(tool('python'), '-m', 'pytest', '--quiet');

import { configReference } from '../src/config/reference.ts';
import { configSchema } from '../src/config/schema.ts';
import { peerOptions } from '../src/daemon/options.ts';

/** Documents that are made from the code: path -> what it must hold. */
export function generatedDocuments(): Record<string, string> {
  return {
    'docs/pinfold.schema.json': `${JSON.stringify(configSchema(peerOptions), null, 2)}\n`,
    'docs/configuration.md': `${configurationHead}\n${configReference(peerOptions)}`,
  };
}

const configurationHead = `# Configuration

<!-- Made by \`npm run gen\` from the options.ts of each module: change it there. -->

A peer reads \`config.json\` in its folder. Each option can be overridden by a \`PINFOLD_*\` variable, and that by a flag of
\`pinfold daemon\`. Lists are separated by commas there, maps are \`name=value\` pairs. A key that does not exist is an
error, and all problems are reported at once: \`pinfold config check\` shows them, \`pinfold config show\` what holds in
the end. \`docs/pinfold.schema.json\` is the file's JSON schema; an editor that knows it completes and checks.

Numbers are plain integers in the unit that the table names. What is marked as the same on all peers belongs to the
cluster: change it everywhere.

\`PINFOLD_PATH\` names the folder, \`PINFOLD_HOST\` the daemon that commands speak to, and \`PINFOLD_SECRET\` is the secret
that \`pinfold init\` takes.
`;

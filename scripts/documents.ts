import { configReference } from '../src/config/reference.ts';
import { configSchema } from '../src/config/schema.ts';
import { peerOptions } from '../src/daemon/options.ts';
import { metricsReference } from './metrics.ts';

/** Documents that are made from the code: path -> what it must hold. */
export function generatedDocuments(): Record<string, string> {
  return {
    'docs/pinfold.schema.json': `${JSON.stringify(configSchema(peerOptions), null, 2)}\n`,
    'docs/configuration.md': `${configurationHead}\n${configReference(peerOptions)}`,
    'docs/metrics.md': `${metricsHead}\n${metricsReference()}`,
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

const metricsHead = `# Metrics

<!-- Made by \`npm run gen\` from the metrics of each module: change them there. -->

Every peer serves these for Prometheus at \`http://127.0.0.1:8888/metrics\` (\`api.metricsListen\`). They are what this one peer knows; what
concerns the whole cluster is in the sum over all of them. \`deploy/grafana/pinfold.json\` is a dashboard of them.

Names follow the rules of Prometheus: base units (seconds, bytes), and \`_total\` on what only grows. A histogram has \`_bucket\`, \`_sum\`
and \`_count\`. Labels have few values: no CID, no name and no address is ever one.

\`\`\`yaml
scrape_configs:
  - job_name: pinfold
    static_configs:
      - targets: ['10.0.0.1:8888', '10.0.0.2:8888', '10.0.0.3:8888']
\`\`\`
`;

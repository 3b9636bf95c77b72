import { readFileSync } from 'node:fs';
import t from 'tap';
import { errorRegistry } from '../../../src/model/errors.ts';

/** Rows "| `REASON` | `STATUS` | what |" of the section on errors. */
function documented(markdown: string): Record<string, { status: string; says: string }> {
  const rows = markdown.matchAll(/^\| `([A-Z_]+)` \| `([A-Z_]+)` \| (.+) \|$/gm);
  return Object.fromEntries([...rows].map(([, reason, status, says]) => [reason, { status, says }]));
}

t.test('docs/api.md lists the error registry as it is', async (t) => {
  const rows = documented(readFileSync('docs/api.md', 'utf8'));
  t.strictSame(rows, { ...errorRegistry });
});

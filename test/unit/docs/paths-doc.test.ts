import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';

const pages = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', ...globSync('docs/*.md')];

/** Files of packages that our pages speak of. */
const ofOthers = ['src/writer.cpp', 'google/rpc/status.proto'];

/** Files and folders that a page names in code type: with a slash in them, from the top or from src/. */
function namedPaths(markdown: string): string[] {
  const prose = markdown.replaceAll(/^```[\s\S]*?^```$/gm, '');
  const spans = [...prose.matchAll(/`([^`\s]+)`/g)].map((match) => match[1] as string);
  const isPath = (span: string) => /^[\w.-]+\/[\w./-]*\.(ts|mjs|md|json|proto)$|^(src|test|scripts|docs)\//.test(span);
  return spans.filter((span) => isPath(span) && !ofOthers.includes(span));
}

function links(markdown: string): string[] {
  const targets = [...markdown.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map((match) => match[1] as string);
  return targets.filter((target) => !/^https?:/.test(target));
}

for (const page of pages) {
  t.test(`${page} names files that there are`, async (t) => {
    const markdown = readFileSync(page, 'utf8');
    const missing = namedPaths(markdown).filter((path) => !['', 'src'].some((top) => existsSync(join(top, path))));
    t.strictSame(missing, []);
    t.strictSame(
      links(markdown).filter((target) => !existsSync(join(dirname(page), target))),
      [],
      'links',
    );
  });
}

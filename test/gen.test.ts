import t from 'tap';
import { compareGenerated } from '../scripts/generated.ts';

t.test('gen/ is what buf generates from proto/', async (t) => {
  t.strictSame(compareGenerated(), [], 'run: npm run gen');
});

import t from 'tap';
import { ADD_NAMES_HELD_MAX } from '../../../src/adder/constants.ts';
import { importForm } from '../../../src/adder/import-options.ts';
import { TreeBuilder } from '../../../src/adder/tree-builder.ts';
import { BlockMaker } from '../../../src/adder/unixfs/block-maker.ts';

t.test('more names than may be held are refused, and what is held is bounded', async (t) => {
  const form = importForm({});
  const blocks = new BlockMaker(form.block, async () => {});
  const tree = new TreeBuilder(form.directory, blocks);
  const leaf = { cid: await blocks.put(0x55, new Uint8Array(0)), dagBytes: 0 };
  const put = async (names: string[]) => {
    for await (const _ of tree.goTo(names)) t.fail('a directory is left');
    tree.put(names, leaf);
  };
  // The directory has a name, too.
  for (let i = 1; i < ADD_NAMES_HELD_MAX; i++) await put(['d', `${i}`]);
  await t.rejects(put(['d', 'one more']), {
    code: 'INVALID_ARGUMENT',
    message: /more than 1000000 names in the directories on one path/,
  });
});

import t from 'tap';
import Type from 'typebox';
import { assembleOptions } from '../../../src/config/assembly.ts';
import { type ConfigSources, loadConfig } from '../../../src/config/load-config.ts';
import {
  choice,
  defaultsOf,
  defineOptions,
  flag,
  integer,
  list,
  listenAddress,
  milliseconds,
  option,
  text,
  textMap,
} from '../../../src/config/option.ts';
import { redacted } from '../../../src/config/redacted.ts';
import { type ErrorDetails, isPinfoldError } from '../../../src/model/errors.ts';

const kitchen = defineOptions('kitchen', 'Where it is cooked.', {
  stallTimeoutMs: milliseconds({ default: 1000, min: 10, says: 'how long' }),
  ovensMax: integer({ default: 2, min: 1, max: 9, unit: 'ovens', says: 'how many' }),
  isOpen: flag({ default: false, flag: 'open', says: 'whether' }),
  style: choice(['raw', 'baked'], { default: 'raw', says: 'which' }),
  spices: list({ default: ['salt'], pattern: '^[a-z]+$', form: 'a word', says: 'which' }),
  labels: textMap({ default: {}, says: 'any' }),
  chef: text<string | undefined>({ default: undefined, says: 'who' }),
});
const door = defineOptions('door', 'Where one comes in.', {
  listen: listenAddress({ default: '127.0.0.1:80', says: 'where' }),
  password: text<string>({ default: 'sesame', max: 8, secret: true, says: 'what' }),
  ratio: option(Type.Number({ minimum: 0, maximum: 1 }), { default: 0.5, says: 'how much' }),
});
const assembly = assembleOptions([kitchen, door]);

type Sources = ConfigSources<typeof assembly>;

const load = (sources: Sources) => loadConfig(assembly, sources);
const loadText = (fileText: string) => load({ file: { name: 'config.json', text: fileText } });

/** Where each problem is, and what it says. */
function problems(fn: () => unknown): Record<string, string> {
  try {
    fn();
  } catch (error) {
    if (!isPinfoldError(error, 'CONFIG_INVALID')) throw error;
    const { fields = [] }: ErrorDetails = error.details;
    return Object.fromEntries(fields.map(({ field, problem }) => [field, problem]));
  }
  throw new Error('no problem was found');
}

t.test('without any source there are the defaults, frozen to the bottom', async (t) => {
  const { config, warnings } = load({});
  t.strictSame(config.kitchen, {
    stallTimeoutMs: 1000,
    ovensMax: 2,
    isOpen: false,
    style: 'raw',
    spices: ['salt'],
    labels: {},
    chef: undefined,
  });
  t.strictSame(warnings, []);
  t.throws(() => Object.assign(config.kitchen, { ovensMax: 3 }));
  t.throws(() => (config.kitchen.spices as string[]).push('pepper'));
  t.strictSame(defaultsOf(kitchen), config.kitchen);
  // Types follow from the table: these lines would not compile otherwise.
  const style: 'raw' | 'baked' = config.kitchen.style;
  const chef: string | undefined = config.kitchen.chef;
  t.strictSame([style, chef], ['raw', undefined]);
});

t.test('flags go before variables, variables before the file', async (t) => {
  const { config } = load({
    file: { name: 'config.json', text: '{"kitchen":{"ovensMax":3,"stallTimeoutMs":30,"chef":"ann"}}' },
    variables: { PINFOLD_KITCHEN_OVENS_MAX: '4', PINFOLD_KITCHEN_STALL_TIMEOUT_MS: '40' },
    flags: { 'kitchen-ovens-max': '5' },
  });
  t.match(config.kitchen, { ovensMax: 5, stallTimeoutMs: 40, chef: 'ann' });
});

t.test('variables and flags are read as the kind of value that the option has', async (t) => {
  const { config } = load({
    variables: {
      PINFOLD_KITCHEN_SPICES: 'mint, dill ,',
      PINFOLD_KITCHEN_LABELS: 'region=eu,note=a=b',
      PINFOLD_DOOR_RATIO: '0.25',
      PINFOLD_KITCHEN_STYLE: 'baked',
      PINFOLD_DOOR_LISTEN: '[::1]:0',
    },
    flags: { open: true },
  });
  t.strictSame(config.kitchen.spices, ['mint', 'dill']);
  t.strictSame(config.kitchen.labels, { region: 'eu', note: 'a=b' });
  t.match(config.kitchen, { style: 'baked', isOpen: true });
  t.match(config.door, { ratio: 0.25, listen: '[::1]:0' });
});

t.test('all problems are reported at once, each with its place', async (t) => {
  const found = problems(() =>
    load({
      file: {
        name: 'config.json',
        text: JSON.stringify({
          kichen: {},
          door: 5,
          kitchen: {
            stalTimeoutMs: 1,
            listen: '',
            ovensMax: 10,
            style: 'fried',
            spices: ['Salt', 'mint', 7],
            isOpen: 'yes',
          },
        }),
      },
      variables: { PINFOLD_KITCHEN_STALL_TIMEOUT_MS: '10s', PINFOLD_KITCHEN_LABELS: 'x', PINFOLD_KITCHEN_IS_OPEN: '' },
      flags: { 'ovens-max': '3', 'kitchen-ovens-max': '2.5' },
    }),
  );
  t.match(found, {
    kichen: 'unknown key; did you mean kitchen?',
    door: 'must be an object',
    'kitchen.stalTimeoutMs': 'unknown key; did you mean stallTimeoutMs?',
    'kitchen.listen': 'unknown key; did you mean door.listen?',
    'kitchen.ovensMax': 'must be integer (it is 2.5)',
    'kitchen.style': 'must be one of raw, baked (it is "fried")',
    'kitchen.spices.0': 'must be a word (it is "Salt")',
    'kitchen.spices.2': 'must be string (it is 7)',
    'kitchen.isOpen': 'must be boolean (it is "yes")',
    PINFOLD_KITCHEN_STALL_TIMEOUT_MS: 'must be a number',
    PINFOLD_KITCHEN_LABELS: 'must be name=value pairs separated by commas',
    PINFOLD_KITCHEN_IS_OPEN: 'must be true or false',
    '--ovens-max': 'unknown flag',
  });
  t.equal(Object.keys(found).length, 13);
});

t.test('the error says everything in its message too', async (t) => {
  t.throws(() => loadText('{"kitchen":{"ovensMax":0,"style":""}}'), {
    message: /2 problems:\n {2}kitchen\.ovensMax: must be >= 1 \(it is 0\)\n {2}kitchen\.style: must be one of/,
  });
});

const malformed: Record<string, RegExp> = {
  '': /ends too early/,
  '{"kitchen":{"ovensMax":': /ends too early/,
  '{"door":{"password":"hushhush': /ends too early|unexpected text/,
  '{"door":{"password":hushhush}}': /unexpected text/,
  '[]': /must hold a JSON object/,
  null: /must hold a JSON object/,
  '"text"': /must hold a JSON object/,
  '\u0000\u0001': /unexpected text/,
};
for (const [fileText, expected] of Object.entries(malformed)) {
  t.test(`a file of ${JSON.stringify(fileText)} is a problem of the file`, async (t) => {
    const found = problems(() => loadText(fileText));
    t.match(found['config.json'], expected);
    t.notMatch(JSON.stringify(found), /hush/, 'and is not quoted');
  });
}

t.test('null, numbers as text, and values of the wrong depth are refused', async (t) => {
  const found = problems(() =>
    loadText('{"kitchen":{"ovensMax":null,"stallTimeoutMs":"1000","labels":{"a":{"b":1}},"spices":"salt"}}'),
  );
  t.strictSame(Object.keys(found).sort(), [
    'kitchen.labels.a',
    'kitchen.ovensMax',
    'kitchen.spices',
    'kitchen.stallTimeoutMs',
  ]);
});

t.test('keys that JavaScript knows are unknown keys', async (t) => {
  const found = problems(() =>
    loadText('{"__proto__":{"ovensMax":1},"constructor":{},"kitchen":{"__proto__":{"x":1},"toString":1}}'),
  );
  t.strictSame(Object.keys(found).sort(), ['__proto__', 'constructor', 'kitchen.__proto__', 'kitchen.toString']);
  t.equal(({} as Record<string, unknown>).ovensMax, undefined);
});

t.test('thousands of unknown keys and a huge value stay quick and the message stays readable', async (t) => {
  const keys = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`key${i}`, i]));
  const found = problems(() => loadText(JSON.stringify({ kitchen: { ...keys, style: 'x'.repeat(100_000) } })));
  t.equal(Object.keys(found).length, 5001);
  t.ok((found['kitchen.style'] ?? '').length < 200);
});

t.test('an unknown variable is a warning with a suggestion; those that are no options are left alone', async (t) => {
  const { warnings } = load({
    variables: { PINFOLD_KITCHEN_OVENS_MX: '1', PINFOLD_SERVICE_HOST: '10.0.0.1', PINFOLD_PATH: '/x', OTHER: '1' },
    notOptions: ['PINFOLD_PATH'],
  });
  t.strictSame(warnings, [
    'the variable PINFOLD_KITCHEN_OVENS_MX is no option; did you mean PINFOLD_KITCHEN_OVENS_MAX?',
    'the variable PINFOLD_SERVICE_HOST is no option',
  ]);
});

t.test('secret values are hidden in problems and when shown', async (t) => {
  const found = problems(() => load({ variables: { PINFOLD_DOOR_PASSWORD: 'hushhushhush' } }));
  t.match(found['door.password'], /must NOT have more than 8 characters/);
  t.notMatch(JSON.stringify(found), /hush/);
  const shown = redacted(assembly, load({ flags: { 'door-password': 'hush' } }).config);
  t.match(shown.door, { password: '(hidden)', ratio: 0.5 });
  t.notOk('chef' in (shown.kitchen ?? {}));
});

t.test('a check between options is asked of a valid configuration only', async (t) => {
  const check: Sources['check'] = ({ kitchen }) =>
    kitchen.ovensMax > 5 && !kitchen.isOpen
      ? [{ at: 'kitchen.ovensMax', problem: 'too many for a closed kitchen' }]
      : [];
  t.strictSame(
    problems(() => load({ flags: { 'kitchen-ovens-max': '6' }, check })),
    {
      'kitchen.ovensMax': 'too many for a closed kitchen',
    },
  );
  t.equal(load({ flags: { 'kitchen-ovens-max': '6', open: true }, check }).config.kitchen.ovensMax, 6);
  const never = () => t.fail('asked of an invalid configuration') as never;
  problems(() => load({ flags: { 'kitchen-ovens-max': '60' }, check: never }));
});

t.test('two options of one name are a defect', async (t) => {
  const a = defineOptions('a', 'A.', { bC: flag({ default: false, says: 'x' }) });
  const ab = defineOptions('aB', 'B.', { c: flag({ default: false, says: 'x' }) });
  t.throws(() => assembleOptions([a, ab]), { message: /two options have the same variable/ });
});

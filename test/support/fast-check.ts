import fc from 'fast-check';

/** The seed that `npm test` fixes, so that it says the same twice; `npm run test:long`, and a file run by itself, take a new one each time. */
const given = process.env.FC_SEED;
if (given !== undefined) fc.configureGlobal({ seed: Number(given) });

export { fc };

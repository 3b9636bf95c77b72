import packageJson from '../../package.json' with { type: 'json' };

/** Of this software, as in package.json. */
export const version: string = packageJson.version;

import config from './playwright.config.ts';

export default { ...config, testMatch: 'performance.measure.ts', timeout: 300_000 };

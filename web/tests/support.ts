import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, test as base, type Page } from '@playwright/test';
import { Kampanje } from '@kampanje/client';

export { expect };

export const url = () => process.env.DESK_URL ?? '';
export const keyedUrl = () => process.env.DESK_KEYED_URL ?? '';

/** The client of the project, for the data of a test. */
export const client = () => new Kampanje({ baseUrl: url() });

interface Options {
  /** Console errors that the test provokes, such as refused requests. */
  provoked: RegExp | null;
  /** The theme that the user has chosen. */
  theme: 'light' | 'system';
}

/** Fails on console errors, exceptions and violations of the content security policy. */
export const test = base.extend<Options & { watched: undefined }>({
  provoked: [null, { option: true }],
  theme: ['light', { option: true }],
  watched: [
    async ({ page, provoked, theme }, use) => {
      const wrong: string[] = [];
      page.on('console', (message) => {
        const text = message.text();
        const isWrong = message.type() === 'error' || text.includes('Content Security Policy');
        if (isWrong && !provoked?.test(text)) wrong.push(text);
      });
      page.on('pageerror', (error) => wrong.push(error.message));
      await page.addInitScript((chosen) => {
        if (!localStorage.getItem('kampanje.theme')) localStorage.setItem('kampanje.theme', chosen);
        if (!localStorage.getItem('kampanje.language'))
          localStorage.setItem('kampanje.language', 'en');
      }, theme);
      await use(undefined);
      await removeOwn();
      expect(wrong).toEqual([]);
    },
    { auto: true },
  ],
});

export async function open(page: Page, path: string): Promise<void> {
  await page.goto(`${url()}/desk${path}`);
  await expect(page.locator('h1')).toBeVisible();
}

/** Opens a page of the service with keys as somebody else. */
export async function signIn(page: Page, path: string, key: string): Promise<void> {
  await page.goto(`${keyedUrl()}/desk${path}`);
  await page.evaluate((token) => {
    sessionStorage.clear();
    sessionStorage.setItem('kampanje.token', token);
  }, key);
  await page.reload();
  await expect(page.locator('h1')).toBeVisible();
}

/** Waits until nothing loads any more. */
export async function settled(page: Page): Promise<void> {
  const loading = page.getByLabel('Loading …').or(page.getByLabel('Laster …'));
  await expect(loading).toHaveCount(0, { timeout: 30_000 });
  await page.waitForLoadState('networkidle');
}

const axeSource = readFileSync(
  createRequire(import.meta.url).resolve('axe-core/axe.min.js'),
  'utf8',
);

interface AxeResult {
  violations: { id: string; nodes: { html: string; failureSummary?: string }[] }[];
}

/** The rules of axe whose result depends on colors, and so on the theme. */
const COLOR_RULES = ['color-contrast', 'link-in-text-block'];

/** Rows of tables that are not checked: they are like those before them, and cost most of the time. */
const FURTHER_ROWS = 'tbody tr:nth-child(n+25)';

/** Checks WCAG 2.2 AA and best practices; with `colors` only what another theme can change. */
export async function expectAccessible(
  page: Page,
  where: string,
  checked: 'all' | 'colors' = 'all',
): Promise<void> {
  const rules = checked === 'colors' ? COLOR_RULES : undefined;
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axeSource);
  const found = await page.evaluate(
    async ({ values, furtherRows }) => {
      const { axe } = window as unknown as {
        axe: { run: (context: object, options: object) => Promise<AxeResult> };
      };
      const { violations } = await axe.run(
        { include: [['html']], exclude: [[furtherRows]] },
        {
          // The rest, such as the nodes without violations, is costly to collect.
          resultTypes: ['violations'],
          ...(values && { runOnly: { type: 'rule', values } }),
        },
      );
      return violations.map(
        ({ id, nodes }) =>
          `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary ?? ''}`).join('\n')}`,
      );
    },
    { values: rules, furtherRows: FURTHER_ROWS },
  );
  // All themes and languages of a page are reported together.
  expect.soft(found, where).toEqual([]);
}

let numbers = 0;
/** The campaigns of the test that runs; removed after it, since every campaign is planned anew. */
const own = new Set<string>();

/** Notes a campaign that the test has made, with its segment if it has one. */
export function owns(number: string): void {
  own.add(number);
}

export async function removeOwn(): Promise<void> {
  const k = client();
  for (const number of own) {
    const campaign = await k.campaigns.get(number);
    if (campaign.publicationVersion !== null) await k.campaigns.deactivate(number);
    for (const segment of await k.segments
      .list({ filter: `campaignNumber eq '${number}'` })
      .take(10)) {
      await k.segments.delete(segment.number, { ifMatch: '*' });
    }
    await k.campaigns.delete(number, { ifMatch: '*' });
  }
  own.clear();
}

/** A campaign of the test's own: approved, in the future, for one customer. */
export async function ownCampaign(
  lines: { itemNumber: string; unitPrice: string; minimumQuantity?: string }[],
  name?: string,
): Promise<string> {
  numbers += 1;
  const number = `T${Date.now().toString(36).toUpperCase()}-${String(numbers)}`;
  const description = name ?? `Test ${number}`;
  const k = client();
  owns(number);
  await k.campaigns.create({
    number,
    description,
    startingDate: `2029-${String(numbers % 12 || 12).padStart(2, '0')}-01`,
    endingDate: `2029-${String(numbers % 12 || 12).padStart(2, '0')}-20`,
  });
  await k.campaignStatusChanges.create(number, { statusCode: 'APPROVED' });
  await k.segments.create({ number: `S-${number}`, campaignNumber: number, campaignTarget: true });
  await k.segmentLines.create(`S-${number}`, { contactNumber: 'FJELLSPORT' });
  if (lines.length > 0) await k.campaignPrices.batch(number, { rows: lines });
  return number;
}

/** Puts a text on the clipboard event of the focused element, as Ctrl+V does. */
export async function paste(page: Page, text: string): Promise<void> {
  await page.evaluate((value) => {
    const data = new DataTransfer();
    data.setData('text/plain', value);
    const event = new ClipboardEvent('paste', {
      clipboardData: data,
      bubbles: true,
      cancelable: true,
    });
    document.activeElement?.dispatchEvent(event);
  }, text);
}

/** Saves a picture for docs/desk.md when the documentation is being updated. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env.DESK_PICTURES;
  if (folder) await page.screenshot({ path: `${folder}/${name}.png` });
}

/** Subscriptions of webhooks, with a receiver on this machine. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { client, expect, open, test } from './support.ts';

/** A receiver that answers with a status, which the test changes. */
async function startReceiver() {
  const receiver = { status: 204, url: '', bodies: [] as string[] };
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      receiver.bodies.push(body);
      response.writeHead(receiver.status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  receiver.url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/hook`;
  return { receiver, close: () => server.close() };
}

test('a subscription is made, tested, disabled by its receiver and enabled again', async ({
  page,
}) => {
  const { receiver, close } = await startReceiver();
  await open(page, '/setup/webhooks');
  await page.getByRole('button', { name: 'New subscription' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Address').fill(receiver.url);
  await dialog.getByLabel('Description').fill('Web shop');
  await dialog.getByLabel('Description').press('Tab');
  await dialog.getByLabel('Prices published').check();
  await dialog.getByRole('button', { name: 'Create' }).click();
  await expect(page.getByText(/^whsec_/)).toBeVisible();
  await page.getByRole('link', { name: receiver.url }).click();
  await expect(page.getByRole('heading', { name: 'Web shop' })).toBeVisible();
  await expect(page.getByText('No deliveries here')).toBeVisible();

  // A test is delivered.
  await page.getByRole('button', { name: 'Send a test' }).click();
  const deliveries = page.getByRole('region', { name: 'Deliveries' });
  await expect(deliveries.getByRole('row', { name: /Test .* Delivered 1 204/ })).toBeVisible();
  expect(receiver.bodies.at(-1)).toContain('kampanje.webhook.test');

  // A receiver that is gone disables the subscription.
  receiver.status = 410;
  await page.getByRole('button', { name: 'Send a test' }).click();
  await expect(page.getByText('Disabled: the receiver is gone (410)').first()).toBeVisible();
  await expect(page.getByRole('button', { name: 'Send a test' })).toBeDisabled();
  receiver.status = 204;
  await page.getByRole('button', { name: 'Enable again' }).click();
  await expect(page.getByText('Enabled', { exact: true })).toBeVisible();

  // What was not delivered is sent again.
  const sent = receiver.bodies.length;
  await deliveries
    .getByRole('button', { name: /Send event .* again/ })
    .first()
    .click();
  await expect.poll(() => receiver.bodies.length).toBe(sent + 1);
  await expect(deliveries.getByRole('row', { name: /Delivered/ })).toHaveCount(2);

  await page.getByLabel('Campaign started').click();
  const { value } = await client().webhookSubscriptions.list().page();
  const own = value.find(({ url }) => url === receiver.url);
  await expect
    .poll(async () => (await client().webhookSubscriptions.get(own?.id ?? '')).types)
    .toEqual(['kampanje.publication.created', 'kampanje.campaign.started']);

  await page.getByRole('button', { name: 'New secret…' }).click();
  await page.getByLabel('The old secret holds for').selectOption('an hour');
  await page.getByRole('button', { name: 'Replace' }).click();
  await expect(page.getByText(/^whsec_/)).toBeVisible();
  await expect(page.getByText('Old secret until')).toBeVisible();

  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await expect(page.getByRole('heading', { name: 'Webhooks' })).toBeVisible();
  await expect(page.getByRole('link', { name: receiver.url })).toHaveCount(0);
  close();
});

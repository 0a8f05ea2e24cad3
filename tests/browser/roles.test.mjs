// Who sees what: on the pages and on every path of the API.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openBrowser, textOf, Visitor } from './browser.mjs';
import { PEOPLE, Sotto } from './sotto.mjs';
import { follow } from './watchers.mjs';

const CALL = 'private-1';

// for each path: what the session of a person is answered with
const PATHS = [
  ['GET', '/v1/session', { maria: 200, lou: 200, grace: 200, tom: 200, vera: 200, ada: 200 }],
  ['GET', '/v1/calls', { maria: 200, lou: 200, grace: 200, tom: 200, vera: 403, ada: 200 }],
  ['POST', '/v1/calls/search', { maria: 200, lou: 200, grace: 200, tom: 200, vera: 403, ada: 200 }, { words: 'credit card' }],
  ['GET', `/v1/calls/${CALL}`, { maria: 200, lou: 404, grace: 200, tom: 404, vera: 403, ada: 200 }],
  ['GET', `/v1/calls/${CALL}/events`, { maria: 200, lou: 404, grace: 200, tom: 404, vera: 403, ada: 200 }],
  ['GET', `/v1/calls/${CALL}/live`, { lou: 404, tom: 404, vera: 403 }],
  ['GET', `/v1/calls/${CALL}/export?format=text`, { maria: 200, lou: 404, grace: 200, tom: 404, vera: 403, ada: 200 }],
  ['POST', `/v1/calls/${CALL}/alerts/5/acknowledge`, { lou: 404, grace: 403, tom: 403, vera: 403 }, {}],
  ['GET', '/v1/trends?by=team', { maria: 200, lou: 200, grace: 200, tom: 200, vera: 200, ada: 200 }],
  ['GET', '/v1/trends?by=agent', { maria: 200, lou: 200, grace: 200, tom: 200, vera: 200, ada: 200 }],
  ['GET', '/v1/overlay/live', { vera: 403 }],
  ['POST', '/v1/tokens', { maria: 201, lou: 201, grace: 201, tom: 201, vera: 403, ada: 201 }, { purpose: 'ingest' }],
  ['POST', '/v1/tokens', { maria: 403, lou: 403, grace: 403, tom: 403, vera: 403, ada: 403 }, { purpose: 'read' }],
  ['DELETE', `/v1/calls/${CALL}`, { maria: 403, lou: 403, grace: 403, tom: 403, vera: 403 }, {}],
];

describe('roles', () => {
  let sotto;
  let browser;
  const people = {};

  before(async () => {
    [sotto, browser] = await Promise.all([Sotto.start(), openBrowser()]);
    for (const login of Object.keys(PEOPLE)) people[login] = await Visitor.as(browser, sotto, login);
    sotto.play(CALL, { agent: 'grace', queue: 'cards', customer_number: '+1 212 555 0147' });
    const page = await people.ada.go(`/calls/${CALL}`);
    await page.getByRole('region', { name: 'Moments' }).getByRole('button', { name: 'Lost card', exact: true }).waitFor({ timeout: 20_000 });
    await page.close();
  });
  after(async () => {
    await browser?.close();
    await sotto?.stop();
  });

  test('mh4 ci7 every path answers each role as the matrix says', async () => {
    const wrong = [];
    for (const [method, path, expected, data] of PATHS) {
      for (const [login, status] of Object.entries(expected)) {
        const answered = await people[login].status(path, method, data);
        if (answered !== status) wrong.push(`${method} ${path} for ${login} (${PEOPLE[login].role}): ${answered}, not ${status}`);
      }
    }
    assert.deepEqual(wrong, []);
  });

  test('mh4 ci7 the live board has rows only for whom the call is, and numbers for the viewer', async () => {
    const board = async (login) => {
      const [{ name, value }] = await people[login].context.cookies();
      let stop;
      const first = await new Promise((resolve) => {
        ({ stop } = follow(`${sotto.url}/v1/board/live`, { cookie: `${name}=${value}` }, (event, data) => resolve({ event, ...JSON.parse(data) })));
      });
      stop();
      assert.equal(first.event, 'board');
      return { rows: first.rows.map(({ call_id }) => call_id), calls: first.numbers.calls };
    };
    for (const login of ['ada', 'maria', 'grace']) assert.deepEqual(await board(login), { rows: [CALL], calls: 1 }, login);
    assert.deepEqual((await board('lou')).rows, []);
    assert.deepEqual(await board('tom'), { rows: [], calls: 0 });
    assert.deepEqual(await board('vera'), { rows: [], calls: 1 });
  });

  test('nobody gets anything without a session, nor with a change from another page', async () => {
    const stranger = await Visitor.open(browser, sotto.url);
    for (const [method, path, , data] of PATHS) assert.equal(await stranger.status(path, method, data), 401, `${method} ${path}`);
    const forged = await people.ada.context.request.post(`/v1/calls/${CALL}/alerts/5/acknowledge`, { form: { a: '1' } });
    assert.equal(forged.status(), 403);
    await stranger.close();
  });

  test('mh4 a supervisor of another team has the call neither in a list nor by its address', async () => {
    const page = await people.lou.go('/');
    await page.getByRole('heading', { name: 'No calls on air' }).waitFor();
    assert.doesNotMatch(await page.locator('body').innerText(), /Grace/);
    await page.goto('/history');
    await page.getByRole('heading', { name: 'No calls yet' }).waitFor();
    await page.goto(`/calls/${CALL}`);
    await page.getByRole('heading', { name: 'Not here' }).waitFor();
    const found = await people.lou.context.request.post('/v1/calls/search', { data: { words: 'credit card' } });
    assert.deepEqual((await found.json()).calls, []);
    await page.close();
  });

  test('mh4 the supervisor of the team and the admin have it', async () => {
    for (const login of ['maria', 'ada']) {
      const page = await people[login].go('/');
      await page.getByRole('row', { name: 'Grace Hill' }).waitFor();
      await page.close();
    }
  });

  test('mh4 an agent sees the own call and no other', async () => {
    const own = await people.grace.go('/');
    await own.getByRole('row', { name: 'Grace Hill' }).waitFor();
    assert.equal(await own.getByRole('button', { name: /Got it/ }).count(), 0, 'alerts are not for agents to take');
    await own.close();
    const other = await people.tom.go('/');
    await other.getByRole('heading', { name: 'You are not in a call' }).waitFor();
    await other.goto(`/calls/${CALL}`);
    await other.getByRole('heading', { name: 'Not here' }).waitFor();
    await other.close();
  });

  test('ci7 a viewer sees numbers and no names, calls or words', async () => {
    const page = await people.vera.go('/');
    const numbers = page.getByRole('main');
    await numbers.getByText('Calls on air').waitFor();
    assert.match(await textOf(numbers), /Calls on air 1 .*Waiting alerts 1/);
    assert.doesNotMatch(await page.locator('body').innerText(), /Grace|0147|credit/);
    for (const path of ['/history', `/calls/${CALL}`, '/wall']) {
      await page.goto(path);
      await page.getByRole('heading', { name: 'Not for your role' }).waitFor();
    }
    await page.goto('/trends');
    await page.getByRole('heading', { name: 'Trends', exact: true }).waitFor({ state: 'attached' });
    assert.doesNotMatch(await page.locator('body').innerText(), /Grace/);
    await page.close();
  });

  test('ci7 trends by agent name nobody that a viewer may not see', async () => {
    const answer = await people.vera.context.request.get('/v1/trends?by=agent');
    assert.deepEqual((await answer.json()).groups, []);
  });
});

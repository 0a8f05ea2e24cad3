import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, messageOf } from './api';

test('messages are sentences', () => {
  assert.equal(messageOf(new ApiError(401, 'wrong', 'login or password is wrong')), 'Login or password is wrong.');
  assert.equal(messageOf(new Error('Is it on?')), 'Is it on?');
  assert.equal(messageOf(''), '');
});

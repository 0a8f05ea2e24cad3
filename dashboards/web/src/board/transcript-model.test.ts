import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CallEvent, Partial } from '../wire';
import { type Keep, Transcript } from './transcript-model';

const final = (seq: number, channel: number, utterance: number, start: number, text = `said ${seq}`): CallEvent => ({
  seq,
  type: 'final',
  channel,
  utterance,
  start,
  end: start + 1,
  text,
  confidence: 1,
  model: 'm',
  words: [],
});

const partial = (channel: number, utterance: number, start: number, stable: string, tail: string): Partial => ({
  channel,
  utterance,
  revision: 1,
  start,
  end: start + 1,
  stable,
  tail,
  degraded: false,
});

const moment = (seq: number, channel: number, utterance: number): CallEvent => ({
  seq,
  type: 'moment',
  id: 'cancel',
  title: 'Wants to cancel',
  forbidden: false, scorecard: { name: 'cards', version: '1' },
  channel,
  utterance,
  at: 1,
  nearness: 0.9,
});

const shown = (transcript: Transcript) => transcript.lines.map((line) => `${line.key}:${line.text}|${line.tail}`);

test('an utterance becomes final in its place, also when the other side was done before', () => {
  const transcript = new Transcript();
  transcript.partial(partial(0, 1, 1, 'I want', 'to say'));
  transcript.event(final(2, 1, 1, 3, 'yes'));
  assert.deepEqual(shown(transcript), ['0-1:I want|to say', '1-1:yes|']);
  transcript.event(final(3, 0, 1, 1, 'I want to stay'));
  assert.deepEqual(shown(transcript), ['0-1:I want to stay|', '1-1:yes|']);
});

test('a later revision does not move an utterance or touch others', () => {
  const transcript = new Transcript();
  transcript.event(final(2, 1, 1, 0, 'hello'));
  const [hello] = transcript.lines;
  transcript.partial(partial(0, 1, 2, '', 'good'));
  transcript.partial({ ...partial(0, 1, 2.5, 'good', 'morning'), revision: 2 });
  assert.equal(transcript.lines[0], hello, 'a line that did not change is the same line');
  assert.equal(transcript.lines[1]?.start, 2);
});

test('a partial whose final never comes goes with the next utterance of its channel, or with the call', () => {
  const transcript = new Transcript();
  transcript.partial(partial(0, 1, 0, '', 'cough'));
  transcript.partial(partial(1, 1, 1, '', 'hm'));
  transcript.partial(partial(0, 2, 2, '', 'well'));
  assert.deepEqual(shown(transcript), ['1-1:|hm', '0-2:|well']);
  transcript.event({ seq: 9, type: 'ended', reason: 'stopped', duration: 3 });
  assert.deepEqual(shown(transcript), []);
});

test('a partial that comes after its final, and events heard twice, change nothing', () => {
  const transcript = new Transcript();
  transcript.event(final(2, 0, 1, 0, 'done'));
  transcript.partial(partial(0, 1, 0, '', 'do'));
  transcript.event(final(2, 0, 1, 0, 'again'));
  assert.deepEqual(shown(transcript), ['0-1:done|']);
});

test('moments stand at their utterance, whichever came first', () => {
  const transcript = new Transcript();
  transcript.event(final(2, 1, 1, 0));
  transcript.event(moment(3, 1, 1));
  transcript.event(moment(4, 1, 2));
  transcript.event(final(5, 1, 2, 4));
  assert.deepEqual(transcript.lines.map((line) => line.moments.map(({ seq }) => seq)), [[3], [4]]);
});

test('a long call keeps its end, or its start when asked', () => {
  const read = (keep: Keep) => {
    const transcript = new Transcript(keep, 10);
    for (let seq = 1; seq <= 40; seq++) transcript.event(final(seq, 0, seq, seq));
    return transcript;
  };
  const [end, start] = [read('end'), read('start')];
  assert.ok(end.lines.length <= 10 && end.lines.length + end.dropped === 40);
  assert.equal(end.lines.at(-1)?.utterance, 40);
  assert.equal(start.lines[0]?.utterance, 1);
  assert.deepEqual([start.lines.length, start.dropped], [10, 30]);
});

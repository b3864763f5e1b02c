// Posts files to one address, and counts what comes back. Run by benchmarks/load.py.
//
//   URL        the address to post to
//   MANIFEST   a file, JSON: [{path, headers}, …], the bodies in turn
//   VUS        closed loop: the number of clients; each posts again as soon as it was answered
//   RATE       open loop: arrivals a second, whatever the answers do
//   DELAY_S    mean seconds by which each of them is delayed
//   WARM_UP_S  seconds at the beginning that are not counted
//   SECONDS    seconds after these, which are counted
//   REQUESTS   fixed work instead of seconds: the number of requests that VUS clients share
//   WARM_UP    the number of requests at the beginning that are not counted
//   LONGEST_S  seconds after which they are given up
//   SUMMARY    the file that the figures are written to
//
// A closed loop counts the requests that were answered within these seconds. An open loop counts the requests that
// arrived within them and, in in_time, those that were answered within them.

import { sleep } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';

const manifest = JSON.parse(open(__ENV.MANIFEST));
const bodies = manifest.map((entry) => ({ data: open(entry.path, 'b'), headers: entry.headers }));
const rate = Number(__ENV.RATE || 0);
const requests = Number(__ENV.REQUESTS || 0);
const warmUpRequests = Number(__ENV.WARM_UP || 0);
const warmUp = Number(__ENV.WARM_UP_S || 0);
const seconds = Number(__ENV.SECONDS || 0);
const STAGES = ['read', 'decode', 'queue', 'infer', 'encode', 'total'];

const answered = new Trend('answered_ms', true);
const refused = new Trend('refused_ms', true);
const failed = new Trend('failed_ms', true);
const inTime = new Counter('in_time');
const endedAt = new Trend('ended_at_ms', true);
const stages = Object.fromEntries(STAGES.map((name) => [name, new Trend(`stage_${name}_ms`, true)]));

// Arrivals at equal distances are each delayed by an exponential time that is long beside that distance. The result is a
// Poisson process (random displacement). It reaches its rate after several such delays.
const delay = Number(__ENV.DELAY_S || 0);

const fixed = {
  executor: 'shared-iterations',
  vus: Number(__ENV.VUS || 1),
  iterations: requests,
  maxDuration: `${__ENV.LONGEST_S}s`,
};
const closed = { executor: 'constant-vus', vus: Number(__ENV.VUS || 1), duration: `${warmUp + seconds}s` };
const opened = {
  executor: 'constant-arrival-rate',
  rate: Math.round(rate * 1000),
  timeUnit: '1000s',
  duration: `${warmUp + seconds}s`,
  preAllocatedVUs: Number(__ENV.VUS),
};

// The time of the last answer that is not counted, whichever request it was: a percentile of all answers' times.
const warmedUp = requests ? `p(${((100 * (warmUpRequests - 1)) / (requests - 1)).toFixed(6)})` : 'p(0)';

export const options = {
  scenarios: { load: { ...((requests && fixed) || (rate ? opened : closed)), gracefulStop: '60s' } },
  discardResponseBodies: true,
  summaryTrendStats: ['count', 'avg', 'min', 'p(50)', 'p(95)', 'p(99)', 'max', warmedUp],
};

export default function post() {
  const number = exec.scenario.iterationInTest;
  const turn = rate || requests ? number : exec.vu.idInTest * 7 + exec.vu.iterationInScenario;
  const body = bodies[turn % bodies.length];
  if (rate) sleep(-Math.log(1 - Math.random()) * delay);
  const arrived = Date.now();
  const answer = http.post(__ENV.URL, body.data, { headers: body.headers, timeout: '60s' });
  if (requests) {
    endedAt.add(Date.now() - exec.scenario.startTime);
    if (number >= warmUpRequests) count(answer);
    return;
  }
  const counted = isCounted(Date.now());
  if (counted && answer.status === 200) inTime.add(1);
  if (rate ? isCounted(arrived) : counted) count(answer);
}

function isCounted(moment) {
  const second = (moment - exec.scenario.startTime) / 1000;
  return second >= warmUp && second < warmUp + seconds;
}

function count(answer) {
  const kind = { 200: answered, 503: refused }[answer.status] || failed;
  const { blocked, connecting, duration } = answer.timings;
  kind.add(blocked + connecting + duration);
  if (kind === failed) console.error(`${answer.status} ${answer.error}`);
  if (kind !== answered) return;
  for (const [, name, ms] of (answer.headers['Server-Timing'] || '').matchAll(/(\w+);dur=([\d.]+)/g)) {
    if (stages[name]) stages[name].add(Number(ms));
  }
}

export function handleSummary(summary) {
  const metrics = summary.metrics;
  if (requests) metrics.spent_ms = metrics.ended_at_ms.values.max - metrics.ended_at_ms.values[warmedUp];
  return { [__ENV.SUMMARY]: JSON.stringify(metrics) };
}

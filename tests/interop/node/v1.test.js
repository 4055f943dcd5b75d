'use strict';
// The npm package `aws-iot-device-sdk`, the first SDK for JavaScript: its thing-jobs, and the samples that come with it.

const assert = require('node:assert');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { after, before, test } = require('node:test');
const sdk = require('aws-iot-device-sdk');
const { Inbox, fresh, soon, startService } = require('./support.js');

const EXAMPLES = path.join(path.dirname(require.resolve('aws-iot-device-sdk')), 'examples');

let service;
before(async () => {
    service = await startService();
});
after(() => service.stop());

/** A client for jobs that is connected. */
async function connect(t) {
    const jobs = sdk.jobs({
        keyPath: service.key,
        certPath: service.certificate,
        caPath: service.ca,
        clientId: fresh('client'),
        host: service.host,
        port: service.port,
    });
    t.after(() => new Promise((resolve) => jobs.end(true, resolve)));
    await soon(new Promise((resolve) => jobs.once('connect', resolve)), 'a connection');
    return jobs;
}

/** Subscribes to an operation (or to whatever no other subscription is for), and returns its jobs. */
function subscribe(jobs, thing, operation) {
    const inbox = new Inbox();
    const callback = (error, job) => inbox.put({ error, job });
    if (operation) jobs.subscribeToJobs(thing, operation, callback);
    else jobs.subscribeToJobs(thing, callback);
    return inbox;
}

function callback(call) {
    return soon(new Promise((resolve, reject) => call((error) => (error ? reject(error) : resolve()))), 'a callback');
}

/** Asks for the jobs that wait, and returns when the service has handled that. */
async function startNotifications(jobs, thing) {
    // The callback means that the request was sent. A job that is created before it is handled comes twice: as news, and
    // as the answer. Requests of one connection are handled in their order, so the answer to a later one is a sign.
    await callback((done) => jobs.startJobNotifications(thing, done));
    await callback((done) => jobs.subscribe(fresh('topic'), { qos: 1 }, done));
}

test('a job goes by its operation to its handler, is in progress and succeeds', async (t) => {
    const thing = await service.thing();
    const jobs = await connect(t);
    const custom = subscribe(jobs, thing, 'customJob');
    const other = subscribe(jobs, thing);
    await startNotifications(jobs, thing);

    const first = await service.job(thing, { operation: 'customJob', some: 'data' });
    const { error, job } = await custom.next('a job');
    assert.ifError(error);
    assert.deepStrictEqual([job.id.toString(), job.operation], [first, 'customJob']);
    assert.deepStrictEqual(job.document, { operation: 'customJob', some: 'data' });
    assert.strictEqual(job.status.status, 'QUEUED');
    await callback((done) => job.inProgress({ operation: 'customJob', step: '1' }, done));
    // The callback means that it was sent, not that it was taken.
    let execution = await service.reaches(thing, first, ['IN_PROGRESS']);
    assert.deepStrictEqual(execution.statusDetails.detailsMap, { operation: 'customJob', step: '1' });
    await callback((done) => job.succeeded({ operation: 'customJob', step: 'all' }, done));
    execution = await service.over(thing, first);
    assert.strictEqual(execution.status, 'SUCCEEDED');
    assert.deepStrictEqual(execution.statusDetails.detailsMap, { operation: 'customJob', step: 'all' });

    // Another operation goes to the default handler, which may fail it without having begun.
    const second = await service.job(thing, { operation: 'unknown' });
    const unknown = await other.next('a job for the default handler');
    assert.strictEqual(unknown.job.id.toString(), second);
    await callback((done) => unknown.job.failed({ errorCondition: 'not yet implemented' }, done));
    assert.strictEqual((await service.over(thing, second)).status, 'FAILED');
    assert.ok(custom.isEmpty && other.isEmpty);
});

test('a job that was there before the client is found when notifications start', async (t) => {
    const thing = await service.thing();
    const id = await service.job(thing, { operation: 'early' });
    const jobs = await connect(t);
    const inbox = subscribe(jobs, thing, 'early');
    await startNotifications(jobs, thing);
    const { job } = await inbox.next('a job');
    assert.strictEqual(job.id.toString(), id);
    await callback((done) => job.succeeded({}, done));
    assert.strictEqual((await service.over(thing, id)).status, 'SUCCEEDED');
});

test('in progress and succeeded sent back to back arrive in this order', async (t) => {
    const thing = await service.thing();
    const jobs = await connect(t);
    const inbox = subscribe(jobs, thing, 'quick');
    await startNotifications(jobs, thing);
    for (let round = 0; round < 5; round += 1) {
        const id = await service.job(thing, { operation: 'quick' });
        const { job } = await inbox.next('a job');
        job.inProgress({ step: 'a' }, () => {});
        job.succeeded({ step: 'b' }, () => {});
        const execution = await service.over(thing, id);
        assert.deepStrictEqual([execution.status, execution.versionNumber], ['SUCCEEDED', 3]);
    }
});

test('jobs that wait come one after the other', async (t) => {
    const thing = await service.thing();
    const ids = [];
    for (let count = 0; count < 4; count += 1) ids.push(await service.job(thing, { operation: 'next' }));
    const jobs = await connect(t);
    const inbox = subscribe(jobs, thing, 'next');
    await startNotifications(jobs, thing);
    for (const id of ids) {
        const { job } = await inbox.next('a job');
        assert.strictEqual(job.id.toString(), id);
        await callback((done) => job.succeeded({}, done));
    }
});

/** Runs one of the package's samples as it is, until the test is over. */
function example(t, name, thing) {
    const args = ['-H', service.host, '-p', String(service.port), '-T', thing, '-i', fresh('client')];
    const files = ['-k', service.key, '-c', service.certificate, '-a', service.ca];
    const child = spawn(process.execPath, [path.join(EXAMPLES, name), ...args, ...files], {
        cwd: service.directory,
        stdio: ['ignore', 'pipe', 'pipe'],
    });
    t.after(() => child.kill('SIGKILL'));
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    child.on('exit', () => (output += '\nended'));
    return () => output;
}

test('the sample jobs-example.js, unmodified', async (t) => {
    const thing = await service.thing();
    const output = example(t, 'jobs-example.js', thing);
    const custom = await service.job(thing, { operation: 'customJob' });
    const execution = await service.over(thing, custom);
    assert.strictEqual(execution.status, 'SUCCEEDED', output());
    assert.deepStrictEqual(execution.statusDetails.detailsMap, { operation: 'customJob', step: 'finished all steps' });
    const unknown = await service.over(thing, await service.job(thing, { operation: 'other' }));
    assert.strictEqual(unknown.status, 'FAILED', output());
    const details = { operation: 'other', errorCondition: 'not yet implemented' };
    assert.deepStrictEqual(unknown.statusDetails.detailsMap, details);
});

test('the sample jobs-agent.js, unmodified', async (t) => {
    const thing = await service.thing();
    const output = example(t, 'jobs-agent.js', thing);
    const refused = await service.over(thing, await service.job(thing, { operation: 'start', packageName: 'nothing' }));
    assert.strictEqual(refused.status, 'FAILED', output());
    assert.strictEqual(refused.statusDetails.detailsMap.errorCode, 'ERR_INVALID_PACKAGE_NAME');
    // Its own words for what it does not do come through as they are.
    const broken = await service.over(thing, await service.job(thing, { operation: 'install', packageName: 'p', files: [] }));
    assert.deepStrictEqual(broken.statusDetails.detailsMap, {
        operation: 'install',
        errorCode: 'ERR_FILE_COPY_FAILED',
        errorMessage: 'files property missing or invalid',
    });
});

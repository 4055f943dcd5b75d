'use strict';
// The npm package `aws-iot-device-sdk-v2`: its request-response Jobs client with its streams, and its older client,
// on MQTT 5 and 3.1.1, through the walk-through of AWS's Jobs sandbox samples.

const assert = require('node:assert');
const { once } = require('node:events');
const { after, before, test } = require('node:test');
const { iot, iotjobs, mqtt, mqtt5 } = require('aws-iot-device-sdk-v2');
const { Inbox, PATIENCE, fresh, soon, startService } = require('./support.js');

const { IN_PROGRESS, SUCCEEDED, FAILED, QUEUED, REJECTED, CANCELED } = iotjobs.model.JobStatus;

let service;
before(async () => {
    service = await startService();
});
after(() => service.stop());

/** A connected client of MQTT 5, its request-response client and its older client. */
async function five(t, clientId = fresh('client')) {
    const builder = iot.AwsIotMqtt5ClientConfigBuilder.newDirectMqttBuilderWithMtlsFromPath(
        service.host,
        service.certificate,
        service.key,
    );
    builder.withCertificateAuthorityFromPath(undefined, service.ca);
    builder.withPort(service.port);
    builder.withConnectProperties({ clientId, keepAliveIntervalSeconds: 1200 });
    const client = new mqtt5.Mqtt5Client(builder.build());
    const connected = once(client, 'connectionSuccess');
    client.start();
    await soon(connected, 'a connection');
    let stopped;
    const stop = () => (stopped ??= (async () => {
        const end = once(client, 'stopped');
        client.stop();
        await soon(end, 'the end of a client');
        client.close();
    })());
    t.after(stop);
    return {
        client,
        stop,
        requestResponse: (options) => iotjobs.IotJobsClientv2.newFromMqtt5(client, options),
        older: () => iotjobs.IotJobsClient.newFromMqtt5Client(client),
    };
}

/** The same on 3.1.1. */
async function three(t, clientId = fresh('client'), clean = true) {
    const builder = iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(service.certificate, service.key);
    builder.with_certificate_authority_from_path(undefined, service.ca);
    builder.with_endpoint(service.host).with_port(service.port);
    builder.with_client_id(clientId).with_clean_session(clean);
    const connection = new mqtt.MqttClient().new_connection(builder.build());
    const present = await soon(connection.connect(), 'a connection');
    let stopped;
    const stop = () => (stopped ??= connection.disconnect());
    t.after(stop);
    return {
        client: connection,
        present,
        stop,
        requestResponse: (options) => iotjobs.IotJobsClientv2.newFromMqtt311(connection, options),
        older: () => new iotjobs.IotJobsClient(connection),
    };
}

function open(stream) {
    const inbox = new Inbox();
    const ready = new Promise((resolve) => {
        // 0: the subscription is established.
        stream.on('subscriptionStatus', (status) => status.type === 0 && resolve());
    });
    stream.on('incomingPublish', ({ message }) => inbox.put(message));
    stream.open();
    return soon(ready, 'a subscription').then(() => inbox);
}

async function device(t, link) {
    const thingName = await service.thing();
    const client = link.requestResponse({
        maxRequestResponseSubscriptions: 2,
        maxStreamingSubscriptions: 2,
        operationTimeoutInSeconds: PATIENCE / 1000,
    });
    t.after(() => client.close());
    const changed = await open(client.createJobExecutionsChangedStream({ thingName }));
    const next = await open(client.createNextJobExecutionChangedStream({ thingName }));
    return { thingName, client, changed, next };
}

/** Whether these are whole seconds of about now. */
function recent(...times) {
    for (const time of times) {
        assert.ok(Number.isInteger(time) && Math.abs(time - Date.now() / 1000) < 3600, `not about now: ${time}`);
    }
}

const ids = (list) => list.map((entry) => entry.jobId);

for (const [version, connect] of [['5', five], ['3.1.1', three]]) {
    test(`the walk-through with the request-response client, MQTT ${version}`, async (t) => {
        const { thingName, client, changed, next } = await device(t, await connect(t));
        let answer = await client.getPendingJobExecutions({ thingName });
        assert.deepStrictEqual([answer.inProgressJobs, answer.queuedJobs], [[], []]);
        recent(answer.timestamp);
        assert.strictEqual((await client.startNextPendingJobExecution({ thingName })).execution, undefined);

        // create-job twice
        const first = await service.job(thingName, { ToDo: 'Reboot' });
        let event = await changed.next('notify');
        assert.deepStrictEqual(ids(event.jobs.QUEUED), [first]);
        let execution = (await next.next('notify-next')).execution;
        assert.deepStrictEqual([execution.jobId, execution.status], [first, QUEUED]);
        assert.deepStrictEqual(execution.jobDocument, { ToDo: 'Reboot' });
        recent(event.timestamp, execution.queuedAt, execution.lastUpdatedAt);
        const second = await service.job(thingName, { ToDo: 'Delete' });
        event = await changed.next('notify');
        assert.deepStrictEqual(ids(event.jobs.QUEUED), [first, second]);

        // get-pending-job-executions
        answer = await client.getPendingJobExecutions({ thingName });
        assert.deepStrictEqual([answer.inProgressJobs, ids(answer.queuedJobs)], [[], [first, second]]);

        // start-next-pending-job-execution: no event
        execution = (await client.startNextPendingJobExecution({ thingName, stepTimeoutInMinutes: 15 })).execution;
        assert.deepStrictEqual([execution.jobId, execution.status, execution.versionNumber], [first, IN_PROGRESS, 2]);
        recent(execution.startedAt);

        // describe-job-execution
        for (const jobId of [first, '$next']) {
            execution = (await client.describeJobExecution({ thingName, jobId })).execution;
            assert.deepStrictEqual([execution.jobId, execution.jobDocument], [first, { ToDo: 'Reboot' }]);
        }

        // update-job-execution: both events
        const update = { thingName, jobId: first, status: SUCCEEDED, expectedVersion: 2 };
        answer = await client.updateJobExecution({ ...update, includeJobExecutionState: true, statusDetails: { a: 'b' } });
        const state = { status: SUCCEEDED, statusDetails: { a: 'b' }, versionNumber: 3 };
        assert.deepStrictEqual(answer.executionState, state);
        assert.deepStrictEqual(ids((await changed.next('notify')).jobs.QUEUED), [second]);
        assert.strictEqual((await next.next('notify-next')).execution.jobId, second);

        // the second one fails: nothing is left
        assert.strictEqual((await client.startNextPendingJobExecution({ thingName })).execution.jobId, second);
        await client.updateJobExecution({ thingName, jobId: second, status: FAILED });
        assert.deepStrictEqual((await changed.next('notify')).jobs, {});
        assert.strictEqual((await next.next('notify-next')).execution, undefined);
        assert.ok(changed.isEmpty && next.isEmpty);

        // delete-job, without force, right after the last execution has ended
        for (const jobId of [first, second]) await service.call('DeleteJob', { jobId });
    });

    test(`refusals are typed errors, MQTT ${version}`, async (t) => {
        const { thingName, client } = await device(t, await connect(t));
        const jobId = await service.job(thingName, {});
        const refused = async (call) => {
            const error = await call.then(() => assert.fail('it was done'), (error) => error);
            recent(error.modeledError.timestamp);
            assert.ok(error.modeledError.message);
            return error.modeledError;
        };
        const codes = iotjobs.model.RejectedErrorCode;
        const update = (more) => client.updateJobExecution({ thingName, jobId, ...more });
        let error = await refused(update({ status: IN_PROGRESS, expectedVersion: 9 }));
        assert.strictEqual(error.code, codes.VERSION_MISMATCH);
        assert.deepStrictEqual(error.executionState, { status: QUEUED, versionNumber: 1 });
        error = await refused(update({ status: CANCELED }));
        assert.deepStrictEqual([error.code, error.executionState], [codes.INVALID_STATE_TRANSITION, undefined]);
        error = await refused(update({ jobId: 'nothing', status: FAILED }));
        assert.strictEqual(error.code, codes.RESOURCE_NOT_FOUND);
        await update({ status: REJECTED });
        error = await refused(client.describeJobExecution({ thingName, jobId }));
        assert.strictEqual(error.code, codes.TERMINAL_STATE_REACHED);
        error = await refused(update({ status: SUCCEEDED }));
        assert.deepStrictEqual([error.code, error.executionState.status], [codes.INVALID_STATE_TRANSITION, REJECTED]);
    });

    test(`the walk-through with the older client, MQTT ${version}`, async (t) => {
        const link = await connect(t);
        const [thingName, client, answers] = [await service.thing(), link.older(), new Inbox()];
        const jobId = fresh('job');
        const quality = mqtt.QoS.AtLeastOnce;
        const listen = (what, request) =>
            client[`subscribeTo${what}`](request, quality, (error, answer) => answers.put({ what, error, answer }));
        for (const what of ['GetPendingJobExecutions', 'StartNextPendingJobExecution']) {
            for (const verdict of ['Accepted', 'Rejected']) await listen(what + verdict, { thingName });
        }
        for (const what of ['DescribeJobExecution', 'UpdateJobExecution']) {
            for (const verdict of ['Accepted', 'Rejected']) await listen(what + verdict, { thingName, jobId });
        }
        await listen('JobExecutionsChangedEvents', { thingName });
        await listen('NextJobExecutionChangedEvents', { thingName });
        const next = async (wanted) => {
            const { what, error, answer } = await answers.next(wanted);
            assert.ifError(error);
            assert.strictEqual(what, wanted);
            return answer;
        };

        await client.publishDescribeJobExecution({ thingName, jobId, clientToken: 'a' }, quality);
        const refusal = await next('DescribeJobExecutionRejected');
        assert.deepStrictEqual([refusal.code, refusal.clientToken], ['ResourceNotFound', 'a']);
        const targets = [`arn:aws:iot:us-east-1:123456789012:thing/${thingName}`];
        await service.call('CreateJob', { jobId, targets, document: '{"a":1}' });
        assert.deepStrictEqual(ids((await next('JobExecutionsChangedEvents')).jobs.QUEUED), [jobId]);
        assert.strictEqual((await next('NextJobExecutionChangedEvents')).execution.jobId, jobId);
        await client.publishGetPendingJobExecutions({ thingName }, quality);
        assert.deepStrictEqual(ids((await next('GetPendingJobExecutionsAccepted')).queuedJobs), [jobId]);
        await client.publishDescribeJobExecution({ thingName, jobId, includeJobDocument: true }, quality);
        assert.deepStrictEqual((await next('DescribeJobExecutionAccepted')).execution.jobDocument, { a: 1 });
        await client.publishStartNextPendingJobExecution({ thingName, stepTimeoutInMinutes: 15 }, quality);
        assert.strictEqual((await next('StartNextPendingJobExecutionAccepted')).execution.status, IN_PROGRESS);
        await client.publishUpdateJobExecution({ thingName, jobId, status: IN_PROGRESS, expectedVersion: 2 }, quality);
        await client.publishUpdateJobExecution({ thingName, jobId, status: SUCCEEDED, expectedVersion: 3 }, quality);
        await next('UpdateJobExecutionAccepted');
        await next('UpdateJobExecutionAccepted');
        assert.deepStrictEqual((await next('JobExecutionsChangedEvents')).jobs, {});
        assert.strictEqual((await next('NextJobExecutionChangedEvents')).execution, undefined);
        await client.publishUpdateJobExecution({ thingName, jobId, status: FAILED }, quality);
        assert.strictEqual((await next('UpdateJobExecutionRejected')).code, 'InvalidStateTransition');
    });
}

test('a second connection of the same name takes over', async (t) => {
    const name = fresh('client');
    const older = await five(t, name);
    const gone = once(older.client, 'disconnection');
    const newer = await five(t, name);
    const [{ disconnect }] = await soon(gone, 'the end of the older connection');
    assert.strictEqual(disconnect.reasonCode, mqtt5.DisconnectReasonCode.SessionTakenOver);
    // Both would now fight for the name, as the SDK connects again by itself.
    await Promise.all([older.stop(), newer.stop()]);
});

test('a persistent session keeps its subscriptions', async (t) => {
    const [name, thing] = [fresh('client'), await service.thing()];
    const first = await three(t, name, false);
    assert.strictEqual(first.present, false);
    const topic = `$aws/things/${thing}/jobs/notify-next`;
    await first.client.subscribe(topic, mqtt.QoS.AtLeastOnce);
    await first.stop();
    await service.job(thing, {});
    const again = await three(t, name, false);
    assert.strictEqual(again.present, true);
    await again.stop();
});

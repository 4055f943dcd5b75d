'use strict';
// The local service as a process of its own, and what the tests of this folder share.

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const { spawn, spawnSync } = require('node:child_process');
const { randomInt } = require('node:crypto');
const iot = require('@aws-sdk/client-iot');

// Long enough for a machine that is busy with something else, in milliseconds.
const PATIENCE = 60_000;
const ARN = 'arn:aws:iot:us-east-1:123456789012';

let number = 0;

/** A name that no other test has. */
function fresh(kind) {
    number += 1;
    return `${kind}-${process.pid}-${number}`;
}

/** A promise that fails, with `what`, if the one given takes too long. */
function soon(promise, what, patience = PATIENCE) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${what}: not within ${patience / 1000} s`)), patience);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** What has come and has not been looked at. */
class Inbox {
    constructor() {
        this.items = [];
        this.waiting = [];
    }

    put(item) {
        const waiting = this.waiting.shift();
        if (waiting) waiting(item);
        else this.items.push(item);
    }

    next(what = 'something') {
        if (this.items.length) return Promise.resolve(this.items.shift());
        return soon(new Promise((resolve) => this.waiting.push(resolve)), what);
    }

    get isEmpty() {
        return this.items.length === 0;
    }
}

/**
 * Starts the service. With `wellKnownPort` it listens on 8883 of a loopback address of its own: for programs that
 * know no other port.
 */
async function startService({ wellKnownPort = false } = {}) {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'fleethand-node-'));
    const programs = process.env.FLEETHAND_PROGRAMS;
    assert.ok(programs, 'FLEETHAND_PROGRAMS is not set: start with `cargo xtask interop`');
    const program = path.join(programs, 'fleethand-local');
    const host = wellKnownPort ? `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}` : '127.0.0.1';
    const init = ['--log-level', 'warn', 'init', directory, '--thing', 'interop', '--host', host];
    assert.strictEqual(spawnSync(program, init, { stdio: ['ignore', 'ignore', 'inherit'] }).status, 0);
    const log = fs.openSync(path.join(directory, 'log'), 'a');
    const mqtt = `${host}:${wellKnownPort ? 8883 : 0}`;
    const child = spawn(program, ['serve', directory, '--mqtt', mqtt, '--http', '127.0.0.1:0'], {
        stdio: ['ignore', 'pipe', log],
    });
    const lines = readline.createInterface({ input: child.stdout });
    const first = new Promise((resolve, reject) => {
        lines.once('line', resolve);
        child.once('exit', () => reject(new Error(fs.readFileSync(path.join(directory, 'log'), 'utf8'))));
    });
    const addresses = JSON.parse(await soon(first, "the service's addresses"));
    const agent = path.join(directory, 'agent');
    const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
    const client = new iot.IoTClient({ endpoint: addresses.http, region: 'us-east-1', credentials, maxAttempts: 1 });
    const service = {
        host,
        port: Number(addresses.mqtt.split(':').pop()),
        ca: path.join(agent, 'root-ca.pem'),
        certificate: path.join(agent, 'device.pem'),
        key: path.join(agent, 'device.key'),
        directory,
        client,

        /** Calls the control plane. */
        call: (command, members) => client.send(new iot[`${command}Command`](members)),

        async thing() {
            const thingName = fresh('thing');
            await service.call('CreateThing', { thingName });
            return thingName;
        },

        async job(thing, document, more = {}) {
            const jobId = fresh('job');
            const targets = [`${ARN}:thing/${thing}`];
            await service.call('CreateJob', { jobId, targets, document: JSON.stringify(document), ...more });
            return jobId;
        },

        async execution(thingName, jobId) {
            return (await service.call('DescribeJobExecution', { thingName, jobId })).execution;
        },

        /** Waits until an execution is over. */
        over: (thing, job) => service.reaches(thing, job, ['SUCCEEDED', 'FAILED', 'REJECTED', 'CANCELED']),

        /** Waits until an execution has one of these statuses. */
        async reaches(thing, job, statuses) {
            const deadline = Date.now() + PATIENCE;
            for (;;) {
                const execution = await service.execution(thing, job);
                if (statuses.includes(execution.status)) return execution;
                assert.ok(Date.now() < deadline, `${job} is still ${execution.status}`);
                await new Promise((resolve) => setTimeout(resolve, 20));
            }
        },

        /** The variables by which unmodified programs find this service. */
        environment: () => ({
            ...process.env,
            AWS_ACCESS_KEY_ID: 'local',
            AWS_SECRET_ACCESS_KEY: 'local',
            AWS_REGION: 'us-east-1',
            AWS_ENDPOINT_URL_IOT: addresses.http,
            // What the AWS Common Runtime reads instead of the system's list of authorities.
            SSL_CERT_FILE: service.ca,
            AWS_TEST_MQTT5_IOT_CORE_HOST: host,
            AWS_TEST_MQTT5_IOT_CORE_REGION: 'us-east-1',
            AWS_TEST_MQTT5_IOT_CERTIFICATE_PATH: service.certificate,
            AWS_TEST_MQTT5_IOT_KEY_PATH: service.key,
        }),

        async stop() {
            client.destroy();
            assert.strictEqual(child.exitCode, null, 'the service has ended by itself');
            const ended = new Promise((resolve) => child.once('exit', resolve));
            child.kill('SIGTERM');
            await soon(ended, "the service's end");
            fs.rmSync(directory, { recursive: true, force: true });
        },
    };
    return service;
}

/** Runs a script with node to its end; returns its exit code and what it has printed. */
async function run(script, args, { environment, patience = PATIENCE }) {
    const child = spawn(process.execPath, [script, ...args], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    const end = new Promise((resolve) => child.once('close', resolve));
    try {
        const code = await soon(end, `the end of ${script}`, patience);
        return { code, output };
    } catch (error) {
        throw new Error(`${error.message}; its output:\n${output}`);
    } finally {
        child.kill('SIGKILL');
    }
}

module.exports = { ARN, Inbox, PATIENCE, fresh, run, soon, startService };

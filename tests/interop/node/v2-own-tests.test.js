'use strict';
// The tests that AWS ships in `aws-iot-device-sdk-v2`, as they are, against the local service instead of AWS. They know
// no other port than 8883, so the service is on a loopback address of its own.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, test } = require('node:test');
const ts = require('typescript');
const { run, startService } = require('./support.js');

const PACKAGE = path.join(path.dirname(require.resolve('aws-iot-device-sdk-v2')), '..');

let service;
before(async () => {
    service = await startService({ wellKnownPort: true });
});
after(() => service.stop());

test('the tests of its Jobs client', async () => {
    // They are written for jest, of which they use so little that these few lines can stand in for it.
    const wrapper = path.join(service.directory, 'instead-of-jest.js');
    fs.writeFileSync(
        wrapper,
        `const tests = [], before = [], after = [];
        globalThis.it = (name, body) => tests.push([name, body]);
        globalThis.it.skip = (name) => tests.push([name, () => { throw new Error('skipped'); }]);
        globalThis.beforeEach = (body) => before.push(body);
        globalThis.afterEach = (body) => after.push(body);
        globalThis.jest = { setTimeout() {} };
        globalThis.expect = require('expect').expect;
        require(${JSON.stringify(path.join(PACKAGE, 'dist/iotjobs/iotjobsclientv2.spec.js'))});
        (async () => {
            for (const [name, body] of tests) {
                for (const hook of before) await hook();
                await body();
                for (const hook of after) await hook();
                console.log('passed: ' + name);
            }
        })().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });`,
    );
    const { code, output } = await run(wrapper, [], { environment: service.environment(), patience: 180_000 });
    assert.strictEqual(code, 0, output);
    assert.strictEqual(output.match(/^passed: /gm)?.length, 4, output);
});

for (const version of ['3', '5']) {
    test(`its service test with MQTT ${version}`, async () => {
        const source = fs.readFileSync(path.join(PACKAGE, 'servicetests/tests/jobs_execution/index.ts'), 'utf8');
        const script = path.join(service.directory, 'jobs_execution.js');
        const options = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2020, esModuleInterop: true };
        fs.writeFileSync(script, ts.transpileModule(source, { compilerOptions: options }).outputText);
        const thing = await service.thing();
        const job = await service.job(thing, { test: 'do-something' });
        const files = ['--cert', service.certificate, '--key', service.key];
        const args = ['--mqtt_version', version, '--endpoint', service.host, '--thing_name', thing, ...files];
        const { code, output } = await run(script, args, { environment: service.environment() });
        assert.strictEqual(code, 0, output);
        assert.match(output, new RegExp(`^Start Job: ${job}$`, 'm'), output);
        // What the test of AWS looks at afterwards. Whether it prints the last answer says nothing about the service:
        // it stops its client as soon as its last request is acknowledged, and may do so before it reads the answer.
        assert.strictEqual((await service.over(thing, job)).status, 'SUCCEEDED', output);
    });
}

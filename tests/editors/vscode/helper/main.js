// Runs inside the extension host, beside the extension under test.

const vscode = require('vscode');
const control = require('./control.js');
const suite = require('./suite.js');

exports.activate = async (context) => {
  context.subscriptions.push(...control.register(vscode));
  const { TEST_HOST_SUITE, TEST_HOST_READY } = process.env;
  if (TEST_HOST_READY) {
    require('node:fs').writeFileSync(TEST_HOST_READY, '');
  }
  if (TEST_HOST_SUITE) {
    // Not awaited: activation ends before what it has started.
    void suite.play(vscode, JSON.parse(TEST_HOST_SUITE));
  }
};

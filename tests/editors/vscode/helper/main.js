// Runs inside the extension host, beside the extension under test.

const vscode = require('vscode');
const control = require('./control.js');

exports.activate = async (context) => {
  context.subscriptions.push(...control.register(vscode));
};

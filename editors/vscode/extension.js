// Starts the language server, `attndsl lsp`, for files that end in .attn.
const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

function activate() {
  const command = vscode.workspace.getConfiguration("attndsl").get("command");
  const server = { command, args: ["lsp"] };
  client = new LanguageClient("attndsl", "attn", server, { documentSelector: [{ language: "attn" }] });
  return client.start().catch(() => {
    vscode.window.showErrorMessage(
      `\`${command} lsp\` did not start. Install it with \`pip install 'attndsl[editor]'\`, or say where it is ` +
        "in the setting attndsl.command."
    );
  });
}

function deactivate() {
  return client && client.stop();
}

module.exports = { activate, deactivate };

// Before packing: take over what the repository has made from the grammar, and its licence.
const fs = require("fs");
const path = require("path");

const root = path.resolve(__dirname, "..", "..");
fs.mkdirSync(path.join(__dirname, "grammars"), { recursive: true });
for (const name of ["attn.tmLanguage.json", "language-configuration.json"]) {
  fs.copyFileSync(path.join(root, "grammars", name), path.join(__dirname, "grammars", name));
}
fs.copyFileSync(path.join(root, "LICENSE"), path.join(__dirname, "LICENSE"));

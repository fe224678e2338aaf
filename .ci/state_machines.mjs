// Holds state machines against AWS's language service for them, as the Toolkit for VS Code
// does. The first argument is the folder in which it is installed, the others are files.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [folder, ...files] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const service = require("amazon-states-language-service").getLanguageService({});
const { TextDocument } = require("vscode-languageserver-textdocument");

let findings = 0;
for (const file of files) {
  const document = TextDocument.create(`file:///${file}`, "asl", 1, readFileSync(file, "utf8"));
  for (const found of await service.doValidation(document, service.parseJSONDocument(document))) {
    findings++;
    console.log(`${file}:${found.range.start.line + 1}:${found.range.start.character + 1}: ${found.message}`);
  }
}
process.exit(findings === 0 && files.length > 0 ? 0 : 1);

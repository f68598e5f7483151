#!/usr/bin/env node
// Prints what each call costs, from the committed artifacts; `--write` puts it into README.md.
"use strict";
const fs = require("fs");
const path = require("path");
const { spawnSync } = require("child_process");

process.chdir(__dirname);
fs.mkdirSync("out", { recursive: true });
const run = spawnSync(
  path.join("node_modules", ".bin", "forge"),
  ["test", "--isolate", "--match-contract", "GasTable"],
  { encoding: "utf8", env: { ...process.env, ATOLL_GAS_TABLE: "1" } },
);
if (run.status !== 0) {
  process.stderr.write(run.stdout + run.stderr);
  process.exit(1);
}
const rows = fs.readFileSync("out/gas.txt", "utf8").trim().split("\n").map((line) => line.split("="));
const table = ["| call | gas |", "| --- | ---: |"]
  .concat(rows.map(([name, gas]) => `| ${name} | ${Number(gas).toLocaleString("en-US")} |`))
  .join("\n");
console.log(table);
if (process.argv.includes("--write")) {
  const readme = fs.readFileSync("README.md", "utf8");
  const [begin, end] = ["<!-- gas -->", "<!-- /gas -->"];
  const [from, to] = [readme.indexOf(begin), readme.indexOf(end)];
  if (from < 0 || to < from) throw new Error("README.md has no place for the table");
  fs.writeFileSync("README.md", `${readme.slice(0, from + begin.length)}\n${table}\n${readme.slice(to)}`);
}

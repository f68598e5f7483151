#!/usr/bin/env node
// Compiles the contracts with npm's solc into artifacts/ and guards their storage layouts.
//
//   node build.cjs                  compile, write artifacts/
//   node build.cjs --check          compile, fail if artifacts/ or storage-layout/ would change
//   node build.cjs --accept-layout  compile, write both; variables may only be added at the end
"use strict";
const fs = require("fs");
const path = require("path");
const solc = require("solc");
const { compare, normalise } = require("./layout.cjs");

const root = __dirname;
const flags = new Set(process.argv.slice(2));
for (const flag of flags) {
  if (flag !== "--check" && flag !== "--accept-layout") fail(`unknown argument ${flag}`);
}
const check = flags.has("--check");

// What is compiled, and which artifacts come of it. The optimiser's output for a contract depends on
// what is compiled beside it, so each is compiled with its imports alone.
const UNITS = {
  "src/Registry.sol": ["Registry"],
  "src/HubQueue.sol": ["HubQueue"],
  "src/Anchor.sol": ["Anchor"],
  "src/Bridge.sol": ["Bridge"],
  "src/EscapeHatch.sol": ["EscapeHatch"],
  "src/Hub.sol": ["Hub", "TransparentUpgradeableProxy", "ProxyAdmin"],
  "src/TestToken.sol": ["TestToken"],
  "src/bench/BenchPair.sol": ["BenchPair"],
  "src/bench/BenchToken.sol": ["BenchToken"],
  "src/environment/EnvironmentBridge.sol": ["EnvironmentBridge", "BridgedToken"],
  "src/environment/ExchangePort.sol": ["ExchangePort"],
  "src/examples/ExchangeVault.sol": ["ExchangeVault"],
  "src/interfaces/IStatementVerifier.sol": ["IStatementVerifier"],
  "@openzeppelin/contracts/governance/TimelockController.sol": ["TimelockController"],
};
// Contracts behind proxies: their storage layout must stay compatible. BridgedToken is not
// upgraded, but snapshot exits read its storage.
const GUARDED = ["Registry", "HubQueue", "Anchor", "Bridge", "EscapeHatch", "BridgedToken"];
const SIZE_MAX = 24576;

function fail(message) {
  console.error(`build.cjs: ${message}`);
  process.exit(1);
}

function source(name) {
  const file = name.startsWith("@") ? require.resolve(name) : path.join(root, name);
  return fs.readFileSync(file, "utf8");
}

function compileUnit(unit) {
  const input = {
    language: "Solidity",
    sources: { [unit]: { content: source(unit) } },
    settings: {
      ...require("./solc-settings.cjs"),
      outputSelection: {
        "*": {
          "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout"],
        },
      },
    },
  };
  const readImport = (name) => {
    try {
      return { contents: source(name) };
    } catch (error) {
      return { error: error.message };
    }
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: readImport }));
  let broken = false;
  for (const message of output.errors ?? []) {
    const ours = !message.sourceLocation?.file?.startsWith("@");
    if (message.severity === "error" || ours) console.error(message.formattedMessage);
    broken ||= message.severity === "error" || ours;
  }
  if (broken) fail(`${unit} does not compile without errors and warnings`);
  return Object.assign({}, ...Object.values(output.contracts));
}

function compile() {
  const artifacts = {};
  for (const [unit, names] of Object.entries(UNITS)) {
    const contracts = compileUnit(unit);
    for (const name of names) {
      const contract = contracts[name];
      const deployed = contract.evm.deployedBytecode.object;
      if (deployed.length / 2 > SIZE_MAX) {
        fail(`${name} has ${deployed.length / 2} bytes of code, at most ${SIZE_MAX} can be deployed`);
      }
      artifacts[name] = {
        abi: contract.abi,
        bytecode: `0x${contract.evm.bytecode.object}`,
        deployedBytecode: `0x${deployed}`,
        storageLayout: normalise(contract.storageLayout),
      };
    }
  }
  return artifacts;
}

const pretty = (value) => `${JSON.stringify(value, null, 2)}\n`;

function difference(name, committed, built) {
  const lines = [];
  for (const key of ["abi", "storageLayout"]) {
    const had = new Set((committed[key] ?? []).map((item) => JSON.stringify(item)));
    const has = new Set((built[key] ?? []).map((item) => JSON.stringify(item)));
    for (const item of had) if (!has.has(item)) lines.push(`  - ${key} ${item}`);
    for (const item of has) if (!had.has(item)) lines.push(`  + ${key} ${item}`);
  }
  for (const key of ["bytecode", "deployedBytecode"]) {
    const [a, b] = [committed[key] ?? "", built[key]];
    if (a === b) continue;
    let at = 0;
    while (at < a.length && a[at] === b[at]) at += 1;
    lines.push(
      `  ${key}: ${a.length / 2 - 1} bytes committed, ${b.length / 2 - 1} built, ` +
        `first difference at byte ${Math.floor(at / 2) - 1}`,
    );
  }
  return [`artifacts/${name}.json differs:`, ...lines].join("\n");
}

function read(file) {
  return fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, "utf8")) : undefined;
}

const artifacts = compile();
const problems = [];

const artifactDir = path.join(root, "artifacts");
fs.mkdirSync(artifactDir, { recursive: true });
const layoutDir = path.join(root, "storage-layout");
fs.mkdirSync(layoutDir, { recursive: true });

for (const name of GUARDED) {
  const file = path.join(layoutDir, `${name}.json`);
  const committed = read(file);
  const built = artifacts[name]?.storageLayout;
  if (!built) {
    problems.push(`storage-layout: there is no contract ${name}`);
    continue;
  }
  const { broken, added } = committed ? compare(committed, built) : { broken: [], added: ["all"] };
  for (const line of broken) problems.push(`storage layout of ${name} is incompatible: ${line}`);
  if (broken.length > 0) continue;
  if (added.length > 0) {
    if (!flags.has("--accept-layout")) {
      problems.push(
        `storage layout of ${name} has additions (${added.join(", ")}); ` +
          "if they are meant, run: node build.cjs --accept-layout",
      );
    } else {
      fs.writeFileSync(file, pretty(built));
    }
  }
}

const stale = new Set(fs.readdirSync(artifactDir));
for (const [name, artifact] of Object.entries(artifacts)) {
  const file = path.join(artifactDir, `${name}.json`);
  stale.delete(`${name}.json`);
  if (!check) {
    fs.writeFileSync(file, pretty(artifact));
    continue;
  }
  const committed = read(file);
  if (!committed) problems.push(`artifacts/${name}.json is missing`);
  else if (pretty(committed) !== pretty(artifact)) problems.push(difference(name, committed, artifact));
}
for (const name of stale) {
  if (check) problems.push(`artifacts/${name} belongs to no contract`);
  else fs.rmSync(path.join(artifactDir, name));
}

if (problems.length > 0) {
  console.error(problems.join("\n"));
  fail(check ? "run `node build.cjs` and commit what changes" : "storage layouts were left alone");
}
const sizes = Object.entries(artifacts)
  .filter(([, artifact]) => artifact.deployedBytecode.length > 2)
  .map(([name, artifact]) => `${name} ${artifact.deployedBytecode.length / 2 - 1}`);
console.log(`${check ? "unchanged" : "written"}; bytes of code: ${sizes.join(", ")}`);

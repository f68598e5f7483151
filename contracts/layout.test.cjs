#!/usr/bin/env node
// The layout guard must see what it is there for.
"use strict";
const assert = require("assert");
const { compare } = require("./layout.cjs");

const slot = (label, at, type = "uint256", offset = 0) => ({ label, slot: at, offset, type });
const record = (...members) => ({ key: "uint64", value: { struct: "Record", members } });
const before = [slot("a", 0), slot("b", 1), slot("m", 2, record(slot("x", 0)))];
const verdict = (after) => {
  const { broken, added } = compare(before, after);
  return broken.length ? "broken" : added.length ? "added" : "same";
};

assert.equal(verdict(before), "same");
assert.equal(verdict([...before, slot("c", 3)]), "added");
assert.equal(verdict([slot("a", 0), slot("b", 1), slot("m", 2, record(slot("x", 0), slot("y", 1)))]), "added");
assert.equal(verdict([slot("a", 0), slot("n", 1), slot("b", 2), slot("m", 3, before[2].type)]), "broken");
assert.equal(verdict([slot("b", 0), slot("a", 1), before[2]]), "broken");
assert.equal(verdict([slot("a", 0, "uint128"), slot("b", 1), before[2]]), "broken");
assert.equal(verdict([slot("a", 0), slot("b", 1)]), "broken");
assert.equal(verdict([slot("a", 0), slot("b", 1), slot("m", 2, record(slot("x", 0, "address")))]), "broken");
// A struct that stands among others must not grow into its neighbour.
const inline = { struct: "S", members: [slot("x", 0)] };
const grown = { struct: "S", members: [slot("x", 0), slot("y", 1)] };
assert.equal(compare([slot("s", 0, inline)], [slot("s", 0, grown)]).broken.length, 1);
console.log("layout guard: 9 cases");

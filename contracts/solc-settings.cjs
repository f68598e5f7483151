// The compiler's settings, for the committed artifacts and for forge alike. Metadata is left out of
// the bytecode so that it depends on nothing but the code.
module.exports = {
  optimizer: { enabled: true, runs: 200 },
  viaIR: true,
  evmVersion: "cancun",
  metadata: { bytecodeHash: "none", appendCBOR: false },
};

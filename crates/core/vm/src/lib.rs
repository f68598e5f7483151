//! The Vm trait and the virtual machines: exchange (native) and evm (revm).

// One compiler, from npm: Hardhat downloads none.
import { fileURLToPath } from 'node:url';
import hardhatViem from '@nomicfoundation/hardhat-viem';

export default {
  plugins: [hardhatViem],
  solidity: {
    compilers: [
      {
        version: '0.8.37',
        path: fileURLToPath(import.meta.resolve('solc/soljson.js')),
        settings: { optimizer: { enabled: true, runs: 200 }, evmVersion: 'cancun' },
      },
    ],
    npmFilesToBuild: ['@openzeppelin/contracts/governance/TimelockController.sol'],
  },
  paths: { sources: './src', artifacts: './hardhat/artifacts', cache: './hardhat/cache', tests: './hardhat/tests' },
  networks: {
    atoll: {
      type: 'http',
      chainType: 'l1',
      url: `${process.env.ATOLL_URL}/evm/evm`,
      // The second and third accounts of "test test … junk".
      accounts: [
        '0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d',
        '0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a',
      ],
    },
  },
};

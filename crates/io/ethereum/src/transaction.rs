//! EIP-1559 transactions: building and signing.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::{Encodable, Header};
use atoll_types::crypto::SigningKey;

/// A type 2 transaction without an access list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The chain.
    pub chain_id: u64,
    /// The sender's nonce.
    pub nonce: u64,
    /// Priority fee per gas, wei.
    pub tip_wei: u128,
    /// Most per gas, wei, base fee included.
    pub max_fee_wei: u128,
    /// Gas allowed.
    pub gas_limit: u64,
    /// Whom it calls; `None` to create a contract.
    pub to: Option<Address>,
    /// Native currency sent along, wei.
    pub value: U256,
    /// Calldata, or the code to create with.
    pub input: Vec<u8>,
}

/// A signed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Its hash.
    pub hash: B256,
    /// Its bytes as `eth_sendRawTransaction` takes them.
    pub raw: Vec<u8>,
}

const TYPE: u8 = 2;

impl Transaction {
    /// The fields up to the access list, without the list's header.
    fn fields(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.input.len() + 128);
        self.chain_id.encode(&mut out);
        self.nonce.encode(&mut out);
        self.tip_wei.encode(&mut out);
        self.max_fee_wei.encode(&mut out);
        self.gas_limit.encode(&mut out);
        match &self.to {
            Some(to) => to.encode(&mut out),
            None => Bytes::new().encode(&mut out),
        }
        self.value.encode(&mut out);
        self.input.as_slice().encode(&mut out);
        Header { list: true, payload_length: 0 }.encode(&mut out);
        out
    }

    fn envelope(fields: &[u8]) -> Vec<u8> {
        let mut out = vec![TYPE];
        Header { list: true, payload_length: fields.len() }.encode(&mut out);
        out.extend_from_slice(fields);
        out
    }

    /// What the sender signs.
    pub fn signing_hash(&self) -> B256 {
        keccak256(Self::envelope(&self.fields()))
    }

    /// Signs: the same key and transaction always give the same bytes.
    pub fn sign(&self, key: &SigningKey) -> Signed {
        let mut fields = self.fields();
        let signature = key.sign(&keccak256(Self::envelope(&fields)));
        signature.y_parity.encode(&mut fields);
        U256::from_be_bytes(signature.r).encode(&mut fields);
        U256::from_be_bytes(signature.s).encode(&mut fields);
        let raw = Self::envelope(&fields);
        Signed { hash: keccak256(&raw), raw }
    }

    /// Most that the sender pays, wei.
    pub fn cost_max(&self) -> U256 {
        self.value
            .saturating_add(U256::from(self.max_fee_wei).saturating_mul(U256::from(self.gas_limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, hex};

    /// Signed by ethers 6.
    #[test]
    fn bytes_are_those_of_another_implementation() {
        let key = SigningKey::from_bytes([0x46; 32]).unwrap();
        let transfer = Transaction {
            chain_id: 1,
            nonce: 0,
            tip_wei: 1,
            max_fee_wei: 2,
            gas_limit: 21_000,
            to: Some(Address::repeat_byte(0x35)),
            value: U256::ZERO,
            input: Vec::new(),
        };
        let call = Transaction {
            chain_id: 31_337,
            nonce: 300,
            tip_wei: 1_500_000_000,
            max_fee_wei: 30_000_000_000,
            gas_limit: 1_000_000,
            to: Some(address!("0x4e59b44847b379578588920cA78FbF26c0B4956C")),
            value: U256::from(10).pow(U256::from(18)),
            input: vec![0xab; 100],
        };
        let create = Transaction {
            nonce: 1,
            tip_wei: 0,
            max_fee_wei: 7,
            gas_limit: 90_000,
            to: None,
            value: U256::ZERO,
            input: hex!("6001600255").to_vec(),
            ..call.clone()
        };
        for (transaction, raw, hash) in [
            (
                transfer,
                "0x02f862018001028252089435353535353535353535353535353535353535358080c080a0871eaca619\
             1d44bc687205b71a475a818a9623442a1e83dbbc159d9c10588dd9a04cd65cb277fd44f3941583237d84\
             3870a71ee7294de58d83c7b6db412cae816a",
                "0xf7b0e52b7867192d64acbc43a5ce40fea0cab0a632efa1830c80eec0fc628917",
            ),
            (
                call,
                "0x02f8dd827a6982012c8459682f008506fc23ac00830f4240944e59b44847b379578588920ca78fbf26\
             c0b4956c880de0b6b3a7640000b864ababababababababababababababababababababababababababab\
             abababababababababababababababababababababababababababababababababababababababababab\
             abababababababababababababababababababababababababababababababc080a097cf7233335e3fb1\
             41e2f36b1eaa8e6151c57518a6da8caf07e1582df9ed783aa0569a2f7d1c47fd811ab318ea0cdcb45cf5\
             238e1ce547d332c7a7397920598669",
                "0x4aa5b2a110f496325666e1ea076183a48c6683d912b15df83d97c1f31ec56ef9",
            ),
            (
                create,
                "0x02f856827a6901800783015f908080856001600255c080a0387d6df5b22c4dea3120698aa4131d74c6\
             a752d5282eba606faec084c15e68fda0210928e2549723a680775a39b08d7929b4ca5943157ea5ae0144\
             b2005d62b553",
                "0x3b054e17ada81ca306420d07cabcf7d4b97f57514b198cadbd9ac9a08471dcdf",
            ),
        ] {
            let signed = transaction.sign(&key);
            assert_eq!(hex::encode_prefixed(&signed.raw), raw);
            assert_eq!(signed.hash.to_string(), hash);
        }
    }
}

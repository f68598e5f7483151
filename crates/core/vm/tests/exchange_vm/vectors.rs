//! Vectors made by running PyPI `hyperliquid-python-sdk` 0.24.0 (its `signing` module) and, for
//! Atoll's own messages, PyPI `eth-account`: only the numbers are kept.

use crate::common::{self, BTC, ETH, IDENTITY, Venue};
use atoll_exchange::{Command, OrderId, OrderRequest, OrderSelector, Side, Tif, Wallet};
use atoll_types::crypto::SigningKey;
use atoll_types::{Address, B256, Encode, EnvironmentId, Lane, NetworkId, RejectCode, Signature};
use atoll_vm::exchange::domain::{Source, agent_digest, connection_id};
use atoll_vm::exchange::sign::sign_l1_action;
use atoll_vm::exchange::{Action, AtollMessage, ExchangeTransaction, Sending, build};

const ADDRESS: &str = "14791697260e4c9a71f18484c9f997b308e59325";
const VAULT: &str = "1719884eb866cb12b2287399b15f7db5e7d775ea";
const AGENT: &str = "1ad00d5ce0f6b3a9bb9a8fca0f0c5a1b2c3d4e5f";
const RECEIVER: &str = "5e9ee1089755c3435139848e47e6635505d5a13a";

struct Vector {
    name: &'static str,
    msgpack: &'static str,
    nonce: u64,
    vault: bool,
    expires_after: Option<u64>,
    /// The connection id.
    hash: &'static str,
    /// Signatures with source "b" and "a": r, s, v.
    testnet: &'static str,
    mainnet: &'static str,
}

#[rustfmt::skip]
const VECTORS: &[Vector] = &[
    Vector {
        name: "order",
        msgpack: "83a474797065a56f72646572a66f72646572739186a16101a162c3a170a3313030a173a3313030a172c2\
            a17481a56c696d697481a3746966a3477463a867726f7570696e67a26e61",
        nonce: 0,
        vault: false,
        expires_after: None,
        hash: "884f2c32bb6dbdd65f6033e32fb28c0cb6f5b345db0f6471fd3366d85c9252c1",
        testnet: "82b2ba28e76b3d761093aaded1b1cdad4960b3af30212b343fb2e6cdfa4e3d546b53878fc99d26047f4d\
            7e8c90eb98955a109f44209163f52d8dc4278cbbd9f51b",
        mainnet: "d65369825a9df5d80099e513cce430311d7d26ddf477f5b3a33d2806b100d78e2b54116ff64054968aa2\
            37c20ca9ff68000f977c93289157748a3162b6ea940e1c",
    },
    Vector {
        name: "order_cloid",
        msgpack: "83a474797065a56f72646572a66f72646572739287a16100a162c2a170a7323530302e3235a173a3302e\
            35a172c2a17481a56c696d697481a3746966a3416c6fa163d92230783031323334353637383961626364\
            65663031323334353637383961626364656687a161cd2710a162c3a170a3312e35a173a23132a172c2a1\
            7481a56c696d697481a3746966a3496f63a163d922307830303030303030303030303030303030303030\
            30303030303030303030303031a867726f7570696e67a26e61",
        nonce: 1700000000123,
        vault: false,
        expires_after: None,
        hash: "c022c24c9ce1d4b89afbfc3abb718395b359d5235aa3beb4cc841815ea7f0f70",
        testnet: "373aab4b4a0ca7610296b6637eb5e8c1796d621178a04907bcba66535f57db5e1fe6131190fa7f8d0a71\
            6dabd02d922ba8ff4638732aa2ed68b01a75d3bedc631c",
        mainnet: "7a611b43faf33a0a98d99667018e9f0ff182a2623f77dadd00e5918d7153cc461f55256451c8773c6751\
            c4296c2b971a36e43a0e097d81497ef0c06e391408e11c",
    },
    Vector {
        name: "order_reduce_expires",
        msgpack: "83a474797065a56f72646572a66f72646572739186a16101a162c2a170a439392e35a173a133a172c3a1\
            7481a56c696d697481a3746966a3496f63a867726f7570696e67a26e61",
        nonce: 1700000000124,
        vault: false,
        expires_after: Some(1700000060000),
        hash: "c79c3587bd4d92c8aed1f65ddd12bd6218d8dc71c4c8e4721a7c2e5622566c66",
        testnet: "260259efc9f4fed18cbfe7af473eeeb8dc23f60848dd70f869e165ee9ee80a8e62fe5b3175d5f535be99\
            be31165defa97f614a2ca32384c24fce318097516dce1b",
        mainnet: "26d812c24aecd02ce9ef0c34e7c5d65d7e294793ca6b55032b6a3bae91bf010e790624eb983d42bfca27\
            94098626994a9bd54b144d17db13a186bde91286f64c1c",
    },
    Vector {
        name: "order_vault",
        msgpack: "83a474797065a56f72646572a66f72646572739186a16101a162c3a170a3313030a173a3313030a172c2\
            a17481a56c696d697481a3746966a3477463a867726f7570696e67a26e61",
        nonce: 1700000000125,
        vault: true,
        expires_after: None,
        hash: "0ad7cdec7d6c01c98968401178a6e79df5fbdf94f191dd478e2621ccdbe490b4",
        testnet: "5a38c2a8bbb8a1cf927ce11d3b3ddf9761be800578ffb4b6efd4bfacf224b08f1972cb1f3cb58d9b08c3\
            cb94a2b4a6662812ddcae0bade0e947272f2607621dd1c",
        mainnet: "5022a658d06cc5bac985d00863f0175a9dae47feca094abce0a57d3d02012605032c30976303a0694a7d\
            12142bf3cd1f2f0cf84eb9986400f999153daccfcb841c",
    },
    Vector {
        name: "order_vault_expires",
        msgpack: "83a474797065a56f72646572a66f72646572739186a16101a162c3a170a3313030a173a3313030a172c2\
            a17481a56c696d697481a3746966a3477463a867726f7570696e67a26e61",
        nonce: 1700000000126,
        vault: true,
        expires_after: Some(1700000060001),
        hash: "def41852af84e9efa5bea819f6fdf256b60d292f9f9931d9b1b1a99ae1c0d124",
        testnet: "574d935b9943c4703152cf0447ab4f96fddd48de365ce061df1d0834f147ef3a6af2e960158f14cf87e1\
            df6eedd1f05448d0178366faf424b1ed2466ec80a3221c",
        mainnet: "40e88e98ba3852a5f9e723c052063f1d324e7c30bf68d651dc2bd4f847c750cb0ef74a03cbdb4adec767\
            ac70a158c03c0316067c278a2b4da6fc2e3dd4d50c221c",
    },
    Vector {
        name: "cancel",
        msgpack: "82a474797065a663616e63656ca763616e63656c739282a16101a16fce04a2314482a16100a16fcf0010\
            000000000001",
        nonce: 1700000000127,
        vault: false,
        expires_after: None,
        hash: "028fac18b695b8f54feea291f7e2a8d18174e950423e8e4fe8b720d204963ba8",
        testnet: "b6fb4b9c858ca0fe8f1e3e6fb3bfe98df72ea85074cf0aeebbf3f86a53e27a96552f5b903b6cee746cc8\
            60ee0d6b33ace3b82b2faa72b6401baa097c74a1f71f1c",
        mainnet: "be580013863468165d94b2b19155416dd0868ec48a9e330ae612544dec38995523f8329cce458d75b227\
            810abb05d7672d3fef227434c52f5a0e09926f0454901b",
    },
    Vector {
        name: "cancel_by_cloid",
        msgpack: "82a474797065ad63616e63656c4279436c6f6964a763616e63656c739182a5617373657401a5636c6f69\
            64d92230783030303030303030303030303030303030303030303030303030303030303031",
        nonce: 1700000000128,
        vault: false,
        expires_after: None,
        hash: "74da542d18fde077452936fe27e5dabfad7220efb053b136fcbe3e3f495b96ed",
        testnet: "416ab888716687b83b34c03e6fa1e38a3561e9ebb970228feeb1e40e240003f2361057eadfa00a15706a\
            b9a4c4c021d7c6dd4a8aee50a204a8fb63b182e40d941c",
        mainnet: "0c8e558efe5241871e08f8acf2535f9ee6f253e86ee2824311080fdaabaebc3c2b7eba1c397c4f5c16fc\
            051d03353fa7fcc0c12ca68f12241dd97fb108a0e50e1c",
    },
    Vector {
        name: "modify",
        msgpack: "83a474797065a66d6f64696679a36f6964ce04a23144a56f7264657286a16101a162c3a170a3313031a1\
            73a3313030a172c2a17481a56c696d697481a3746966a3477463",
        nonce: 1700000000129,
        vault: false,
        expires_after: None,
        hash: "50c07bf73bc0bcd74f2221a82b9f564a834fd83ae82ea55ce5b4c27a3ae332c8",
        testnet: "8367d42c7ae56f4ccfd29b2a0ce350c643eed40ed72d63d6e66341303bf1e47332f6c7949f497358bc90\
            4327a1c04ccbe350c286baeebf627cc9b3aa5a31947f1b",
        mainnet: "8b2010d1bd98c4da029089c8c0c40103ac40e5ef15a3c9d88a52d2d7dc98924817a8ff1008156ed3f6af\
            e7f162eed787b31ae3cd71552d6833a215993d0399d91b",
    },
    Vector {
        name: "batch_modify",
        msgpack: "82a474797065ab62617463684d6f64696679a86d6f6469666965739282a36f6964cd012ca56f72646572\
            86a16101a162c3a170a3313031a173a137a172c2a17481a56c696d697481a3746966a347746382a36f69\
            64d92230783031323334353637383961626364656630313233343536373839616263646566a56f726465\
            7287a16100a162c2a170a432363030a173a4302e3235a172c3a17481a56c696d697481a3746966a3416c\
            6fa163d92230783030303030303030303030303030303030303030303030303030303030303031",
        nonce: 1700000000130,
        vault: false,
        expires_after: None,
        hash: "e5fa50b9f13294c6666c8a402e58e85775c01428f690a4046c9d5c453eadef5e",
        testnet: "bc66763c613cacc5c3e61112641a1149b30de227f49e93a4fdbcba016df77c4c2c76e6f8afad0eb5b127\
            d7ac12d5d95c14652d53290ad4d6f3f73eb4710749351c",
        mainnet: "b846d83c5bb0243db39c342dba345ff9c70b1795ab7eb148ed52553013f594c9244c65c03025738c969e\
            1e26b9b34694306bae790aac23aba9a414e20bf23dc41c",
    },
    Vector {
        name: "update_leverage",
        msgpack: "84a474797065ae7570646174654c65766572616765a5617373657401a7697343726f7373c3a86c657665\
            7261676505",
        nonce: 1700000000131,
        vault: false,
        expires_after: None,
        hash: "cc86f0b8f10206ecaee4df5445cd088c38e18cec5bee984d987045afe65039c1",
        testnet: "7e5c988c5bef5251c654da737389f7db5aa41c8196d0926aeeae7b00faa327847d8e51ab09c117ab340a\
            d607107e3d8568fd636d552fabc2562a80c0083965f51c",
        mainnet: "9dfc59d2c360f82dbb79014e63cb9deaf4365e2aa03121382d083ff03df293917ef695cb3cd5933c793d\
            794d603b92182fce01ac0dd0fd5588aead1598185f4a1c",
    },
    Vector {
        name: "schedule_cancel",
        msgpack: "82a474797065ae7363686564756c6543616e63656ca474696d65cf0000018bcfe58f10",
        nonce: 1700000000132,
        vault: false,
        expires_after: None,
        hash: "a70915b7dea14f32118988e6e5838aae898a7cffb81ecd6c1cf1ded6f76e4e9e",
        testnet: "92855495bc223e86de14528c654f1d803d0e231e79b686a06c0a021b2099dd6b2d75516b5fe9cd69d5b8\
            cc57a708260238f5997c7cc3adce070a0cb8a842ec2c1c",
        mainnet: "a4979026875f8e64f0b86c43c9fc0f4528b5191dc0933f6858e368205b0a147148a94cad1ca0030227a1\
            3dce1d654f91eb279955c674746838e4c5c6b24c2c0d1b",
    },
];

struct Typed {
    name: &'static str,
    msgpack: &'static str,
    nonce: u64,
    signature: &'static str,
}

#[rustfmt::skip]
const TYPED: &[Typed] = &[
    Typed {
        name: "usd_send",
        msgpack: "86ab64657374696e6174696f6ed92a307835653965653130383937353563333433353133393834386534\
            376536363335353035643561313361a6616d6f756e74a3312e35a474696d65cf0000018bcfe568c8a474\
            797065a775736453656e64b07369676e6174757265436861696e4964a730783636656565b06879706572\
            6c6971756964436861696ea7546573746e6574",
        nonce: 1700000000200,
        signature: "67fd8c41e78b938ec970915a7879c653986be5048983a9a1f275890c27302629145f5599cfed7c534bc9\
            51090fb97609702c15a3f862ebdc6016d11d263fb2f01c",
    },
    Typed {
        name: "spot_send",
        msgpack: "87ab64657374696e6174696f6ed92a307835653965653130383937353563333433353133393834386534\
            376536363335353035643561313361a6616d6f756e74a4322e3235a5746f6b656ed927555344433a3078\
            6562363265656533363835666334633433393932666562636439653735343433a474696d65cf0000018b\
            cfe568c9a474797065a873706f7453656e64b07369676e6174757265436861696e4964a7307836366565\
            65b068797065726c6971756964436861696ea7546573746e6574",
        nonce: 1700000000201,
        signature: "5f24474481ab3b96cbbbb91bb3d40147f2815d0849d09fe7b7a5619c82b0525954ddae28f2aa3044c26d\
            7b283840cef9d093117f3228b600ef12655773cf25df1c",
    },
    Typed {
        name: "usd_class_transfer",
        msgpack: "86a474797065b0757364436c6173735472616e73666572a6616d6f756e74a3332e30a6746f50657270c2\
            a56e6f6e6365cf0000018bcfe568cab07369676e6174757265436861696e4964a730783636656565b068\
            797065726c6971756964436861696ea7546573746e6574",
        nonce: 1700000000202,
        signature: "51211e1f96ad8d22e184844facd4f6e7ea46fb7094f248751269f78fda385ee50bbf67b57d3861c7f423\
            ca91f77a67cfab4e50caba6dc8ab8afbe6b1a7f2aac41c",
    },
    Typed {
        name: "approve_agent",
        msgpack: "86a474797065ac617070726f76654167656e74ac6167656e7441646472657373d92a3078316164303064\
            35636530663662336139626239613866636130663063356131623263336434653566a96167656e744e61\
            6d65a3626f74a56e6f6e6365cf0000018bcfe568cbb07369676e6174757265436861696e4964a7307836\
            36656565b068797065726c6971756964436861696ea7546573746e6574",
        nonce: 1700000000203,
        signature: "c6ec6d89ebe1f041fc09ad2bba00eb20d7c3f82d3d4aad2e9e2600a7a6dcb0c61ff8268f65f830593827\
            2e93644df1daca0d9873a26924d4298c1ce3c53d16f71b",
    },
    Typed {
        name: "withdraw",
        msgpack: "86ab64657374696e6174696f6ed92a307835653965653130383937353563333433353133393834386534\
            376536363335353035643561313361a6616d6f756e74a431322e35a474696d65cf0000018bcfe568cda4\
            74797065a9776974686472617733b07369676e6174757265436861696e4964a730783636656565b06879\
            7065726c6971756964436861696ea7546573746e6574",
        nonce: 1700000000205,
        signature: "9fb1298db0927ed4d176606ab3a3b15c0dc7a7297b3ce80b09a5ce0a7b17fe8b00fd32f6c46d990ff5d6\
            50d0abba22ddaf540b707ab77ec2aad7af42c55353f11b",
    },
    Typed {
        name: "approve_agent_unnamed",
        msgpack: "85a474797065ac617070726f76654167656e74ac6167656e7441646472657373d92a3078316164303064\
            35636530663662336139626239613866636130663063356131623263336434653566a56e6f6e6365cf00\
            00018bcfe568ccb07369676e6174757265436861696e4964a730783636656565b068797065726c697175\
            6964436861696ea7546573746e6574",
        nonce: 1700000000204,
        signature: "99e2efb467114f301acd7a97f974798a4b3eecc016b04b7779ffd83d49c39d110b439a34d245e5964266\
            0cff4c377d1624ad9bdfa88dc25a63af7aa767fe50011c",
    },
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn signature(hex: &str) -> ([u8; 32], [u8; 32], u64) {
    let all = bytes(hex);
    (all[..32].try_into().unwrap(), all[32..64].try_into().unwrap(), u64::from(all[64]))
}

fn address(hex: &str) -> Address {
    Address::from_slice(&bytes(hex))
}

fn key() -> SigningKey {
    let secret = bytes(&"0123456789".repeat(7)[..64]);
    SigningKey::from_bytes(secret.try_into().unwrap()).unwrap()
}

impl Vector {
    fn vault(&self) -> Option<Address> {
        self.vault.then(|| address(VAULT))
    }

    fn transaction(&self) -> ExchangeTransaction {
        let (action, signature) = (bytes(self.msgpack), signature(self.testnet));
        ExchangeTransaction::hyperliquid(
            action,
            self.nonce,
            self.vault(),
            self.expires_after,
            signature,
        )
        .unwrap()
    }
}

#[test]
fn hashes_and_signatures_are_those_of_the_sdk() {
    assert_eq!(key().address(), address(ADDRESS));
    for vector in VECTORS {
        let (action, nonce, expires_after) =
            (bytes(vector.msgpack), vector.nonce, vector.expires_after);
        let hash = connection_id(&action, nonce, vector.vault().as_ref(), expires_after);
        assert_eq!(hash, B256::from_slice(&bytes(vector.hash)), "{}", vector.name);
        for (source, expected) in
            [(Source::Testnet, vector.testnet), (Source::Mainnet, vector.mainnet)]
        {
            let (r, s, v) = signature(expected);
            let expected = Signature::from_parts(r, s, v).unwrap();
            assert_eq!(expected.recover(&agent_digest(source, &hash)), Ok(address(ADDRESS)));
            let vault = vector.vault();
            let signed =
                sign_l1_action(&key(), source, action.clone(), nonce, vault, expires_after);
            assert_eq!(signed.signature, expected, "{}", vector.name);
        }
    }
}

#[test]
fn actions_are_built_byte_by_byte_as_the_sdk_packs_them() {
    let one = 1u128.to_be_bytes();
    let named = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdefu128.to_be_bytes();
    let wire = |asset, buy, size: &str, price: &str, tif, reduce_only, client_id| {
        let (price, size) = (price.into(), size.into());
        build::OrderWire {
            asset,
            buy,
            price,
            size,
            reduce_only,
            tif,
            client_id,
            ..Default::default()
        }
    };
    let plain = wire(1, true, "100", "100", Tif::Gtc, false, None);
    let two = [
        wire(0, false, "0.5", "2500.25", Tif::PostOnly, false, Some(named)),
        wire(10_000, true, "12", "1.5", Tif::Ioc, false, Some(one)),
    ];
    let moved = wire(1, true, "100", "101", Tif::Gtc, false, None);
    let batch = [
        (OrderSelector::Order(OrderId(300)), wire(1, true, "7", "101", Tif::Gtc, false, None)),
        (
            OrderSelector::Client(named),
            wire(0, false, "0.25", "2600", Tif::PostOnly, true, Some(one)),
        ),
    ];
    let cancels = [(1, OrderId(77_738_308)), (0, OrderId(4_503_599_627_370_497))];
    for (name, built) in [
        ("order", build::orders(&[plain])),
        ("order_cloid", build::orders(&two)),
        ("cancel", build::cancels(&cancels)),
        ("cancel_by_cloid", build::cancels_by_client_id(&[(1, one)])),
        ("modify", build::modify(&OrderSelector::Order(OrderId(77_738_308)), &moved)),
        ("batch_modify", build::modifies(&batch)),
        ("update_leverage", build::update_leverage(1, true, 5)),
    ] {
        let vector = VECTORS.iter().find(|vector| vector.name == name).unwrap();
        assert_eq!(built, bytes(vector.msgpack), "{name}");
    }
}

#[test]
fn actions_of_the_sdk_are_decoded_to_the_units_of_the_venue() {
    let spec = common::spec(true);
    let request = |market, side, price, size, tif, reduce_only, client_id| {
        Command::Place(OrderRequest {
            market,
            side,
            price,
            size,
            tif,
            reduce_only,
            client_id,
            ..OrderRequest::default()
        })
    };
    let commands = |name: &str| {
        let vector = VECTORS.iter().find(|vector| vector.name == name).unwrap();
        let checked = common::check(&spec, &vector.transaction().to_bytes()).unwrap();
        assert_eq!(checked.signer, address(ADDRESS), "{name}");
        let Action::Commands(steps) = checked.transaction.action else { panic!("{name}") };
        let all: Vec<_> =
            steps.iter().map(|step| (step.target_market, step.command.clone())).collect();
        (checked.lane, all)
    };
    let one = 1u128.to_be_bytes();
    let named = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdefu128.to_be_bytes();
    // 100 at a tick of 0.5; 100 at a lot of 0.001.
    let bid = request(BTC, Side::Buy, 200, 100_000, Tif::Gtc, false, None);
    assert_eq!(commands("order"), (Lane::Rest, vec![(None, Ok(bid))]));
    let spot = atoll_exchange::MarketId(2);
    let ask = request(ETH, Side::Sell, 250_025, 5_000, Tif::PostOnly, false, Some(named));
    let buy = request(spot, Side::Buy, 15, 12_000, Tif::Ioc, false, Some(one));
    assert_eq!(commands("order_cloid"), (Lane::Rest, vec![(None, Ok(ask)), (None, Ok(buy))]));
    let close = request(BTC, Side::Sell, 199, 3_000, Tif::Ioc, true, None);
    assert_eq!(commands("order_reduce_expires"), (Lane::Rest, vec![(None, Ok(close))]));
    let cancel = |order| Ok(Command::Cancel(OrderSelector::Order(OrderId(order))));
    let both = vec![(Some(BTC), cancel(77_738_308)), (Some(ETH), cancel(4_503_599_627_370_497))];
    assert_eq!(commands("cancel"), (Lane::Cancel, both));
    let by_client = Ok(Command::Cancel(OrderSelector::Client(one)));
    assert_eq!(commands("cancel_by_cloid"), (Lane::Cancel, vec![(Some(BTC), by_client)]));
    let order = OrderRequest {
        market: BTC,
        side: Side::Buy,
        price: 202,
        size: 100_000,
        tif: Tif::Gtc,
        reduce_only: false,
        client_id: None,
        ..OrderRequest::default()
    };
    let target = OrderSelector::Order(OrderId(77_738_308));
    let modify = vec![(Some(BTC), Ok(Command::Modify { target, order }))];
    assert_eq!(commands("modify"), (Lane::Rest, modify));
    assert_eq!(commands("batch_modify").1.len(), 2);
    let leverage = Ok(Command::SetLeverage { market: BTC, leverage: 5, isolated: false });
    assert_eq!(commands("update_leverage"), (Lane::Aside, vec![(None, leverage)]));
    let schedule = Ok(Command::ScheduleCancel { at_ms: Some(1_700_000_010_000) });
    assert_eq!(commands("schedule_cancel"), (Lane::Aside, vec![(None, schedule)]));
    for (name, code) in
        [("order_vault", RejectCode::Unsupported), ("order_vault_expires", RejectCode::Unsupported)]
    {
        let vector = VECTORS.iter().find(|vector| vector.name == name).unwrap();
        let refused = common::check(&spec, &vector.transaction().to_bytes()).unwrap_err();
        assert_eq!(refused.code, code, "{name}");
    }
}

#[test]
fn typed_actions_of_the_sdk_recover_their_signer_and_only_on_a_development_network() {
    for vector in TYPED {
        let transaction = ExchangeTransaction::hyperliquid(
            bytes(vector.msgpack),
            vector.nonce,
            None,
            None,
            signature(vector.signature),
        );
        let sent = transaction.unwrap();
        let checked = common::check(&common::spec(true), &sent.to_bytes()).unwrap();
        assert_eq!(checked.signer, address(ADDRESS), "{}", vector.name);
        let refused = common::check(&common::spec(false), &sent.to_bytes()).unwrap_err();
        assert_eq!(refused.code, RejectCode::WrongDomain, "{}", vector.name);
        let other_nonce = ExchangeTransaction { nonce: sent.nonce + 1, ..sent };
        let refused = common::check(&common::spec(true), &other_nonce.to_bytes()).unwrap_err();
        assert_eq!(refused.code, RejectCode::Malformed, "{}", vector.name);
        if vector.name == "withdraw" {
            let sending = Sending {
                destination: EnvironmentId(0),
                to: address(RECEIVER),
                asset: common::spec(true).hub_assets[0],
                wallet: Wallet::Collateral,
                amount: 12_500_000,
            };
            assert_eq!(checked.transaction.action, Action::Send(sending));
            continue;
        }
        let Action::Commands(steps) = &checked.transaction.action else {
            let named = vector.name == "approve_agent";
            let expected = Action::ApproveAgent {
                agent: address(AGENT),
                name: if named { "bot".into() } else { String::new() },
                valid_until_ms: vector.nonce + 180 * 24 * 3600 * 1000,
            };
            assert_eq!(checked.transaction.action, expected);
            continue;
        };
        let asset = atoll_exchange::AssetId(0);
        let transfer =
            |wallet, amount| Command::Transfer { to: address(RECEIVER), asset, wallet, amount };
        let expected = match vector.name {
            "usd_send" => transfer(Wallet::Collateral, 1_500_000),
            "spot_send" => transfer(Wallet::Spot, 2_250_000),
            _ => Command::Move { asset, to: Wallet::Spot, amount: 3_000_000 },
        };
        assert_eq!(steps[0].command, Ok(expected), "{}", vector.name);
    }
}

#[test]
fn atoll_messages_are_typed_data_that_name_network_and_environment() {
    let approve = AtollMessage::ApproveAgent {
        agent: address(AGENT),
        name: "bot".into(),
        valid_until_ms: 1_800_000_000_000,
    };
    let transfer = AtollMessage::Transfer {
        to: address(RECEIVER),
        asset: "USDC".into(),
        wallet: Wallet::Spot,
        amount: 12_345_678_901_234_567_890,
    };
    let moved = AtollMessage::Move { to: Wallet::Collateral, amount: 1_000_000 };
    let withdraw = AtollMessage::Send {
        destination: EnvironmentId(0),
        to: address(RECEIVER),
        asset: "USDC".into(),
        wallet: Wallet::Collateral,
        amount: 2_500_000,
    };
    let send = AtollMessage::Send {
        destination: EnvironmentId(u32::MAX),
        to: address(RECEIVER),
        asset: "UBTC".into(),
        wallet: Wallet::Spot,
        amount: u128::MAX,
    };
    for (message, nonce, expected) in [
        (&approve, 300, "5602d501004b9762022d3d019c664f3f9fcb18bd961f1251f2aafb3a4868d8cb"),
        (&transfer, 301, "019d554528517d6e1c5385618df0f6006c13306c493535a63b0233b6298e4b16"),
        (&moved, 302, "acbc762f12ecf51a5f567c079671497c55c4b91d021faac0b1ceae01a850876b"),
        (&withdraw, 303, "024f3ea1c1025dd7047581e6dc36caf30e219b60e2234e20cdae93ce596f9175"),
        (&send, 304, "f0defc8dc2b5c405720d89314bf13da723002bbc503bbd1f31d5a5dec1e582c4"),
    ] {
        let nonce = 1_700_000_000_000 + nonce;
        let digest = message.digest(&IDENTITY, common::CHAIN_ID, nonce);
        assert_eq!(digest, B256::from_slice(&bytes(expected)));
        let network = atoll_vm::Identity { network: NetworkId(B256::ZERO), ..IDENTITY };
        let environment = atoll_vm::Identity { environment: EnvironmentId(4), ..IDENTITY };
        for other in [network, environment] {
            assert_ne!(message.digest(&other, common::CHAIN_ID, nonce), digest);
        }
        assert_ne!(message.digest(&IDENTITY, 1, nonce), digest);
    }
}

#[test]
fn an_unknown_signer_is_named() {
    let mut venue = Venue::new(true);
    let vector = VECTORS.iter().find(|vector| vector.name == "order_cloid").unwrap();
    let refused = venue.send(&vector.transaction()).unwrap_err();
    assert_eq!(refused.code, RejectCode::UnknownAccount);
    assert!(refused.message.to_lowercase().contains(ADDRESS), "{}", refused.message);
}

//! Celestia at its wire format. No Celestia node runs here: a small JSON-RPC server answers what a
//! celestia-node would, in its JSON (that of `celestia-types`, which its authors test against real
//! nodes), over squares that are laid out, extended and committed as Celestia's are, under headers
//! that a validator has signed.

mod common;

use atoll_layers::celestia::{Celestia, Options, proof::verify_inclusion};
use atoll_layers::{DataLayer, Layer, LayerError, Publication, Receipt};
use atoll_types::B256;
use celestia_types::nmt::{Namespace, NamespaceProof};
use celestia_types::test_utils::ExtendedHeaderGenerator;
use celestia_types::{
    Blob, Commitment, DataAvailabilityHeader, ExtendedDataSquare, ExtendedHeader,
};
use common::{Kept, NETWORK, batch, has_root};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

const TOKEN: &str = "a.token.of-permission.write";

/// What a node does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Takes blobs, and closes the connection without an answer.
    NoAnswer,
    /// Closes the connection without having taken anything.
    NothingTaken,
    /// Refuses to pay.
    Refuses,
    /// Says a height whose block does not have them.
    WrongHeight,
    /// A byte of a blob.
    OtherData,
    /// Another blob, which is one.
    OtherBlob,
    /// A proof for other shares.
    OtherProof,
    /// A proof that leaves out a row.
    ShortProof,
    /// Another square's roots under the same header.
    OtherRoots,
    /// A header of another chain, correct in itself.
    OtherChain,
}

struct Block {
    header: ExtendedHeader,
    square: ExtendedDataSquare,
    /// Each blob with the index of its first share in the original square.
    blobs: Vec<(usize, Blob)>,
}

struct Chain {
    generator: ExtendedHeaderGenerator,
    blocks: BTreeMap<u64, Block>,
    submissions: usize,
    fault: Fault,
}

impl Chain {
    fn new() -> Self {
        let (generator, blocks) = (ExtendedHeaderGenerator::new(), BTreeMap::new());
        let mut chain = Self { generator, blocks, submissions: 0, fault: Fault::None };
        chain.block(Vec::new());
        chain
    }

    fn head(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// The next block, with these blobs.
    fn block(&mut self, mut blobs: Vec<Blob>) -> u64 {
        let other = Namespace::new_v0(&[0xff; 10]).unwrap();
        // Somebody else's, before and behind.
        blobs.push(Blob::new(Namespace::new_v0(&[1, 0, 0]).unwrap(), vec![5; 700], None).unwrap());
        blobs.push(Blob::new(other, vec![6; 3_000], None).unwrap());
        blobs.sort_by_key(|blob| blob.namespace);
        let (ods, placed) = lay_out(blobs);
        let square = ExtendedDataSquare::from_ods(ods).unwrap();
        let header = self.generator.next_with_dah(DataAvailabilityHeader::from_eds(&square));
        let height = header.height();
        self.blocks.insert(height, Block { header, square, blobs: placed });
        height
    }
}

/// Celestia's layout: pay-for-blob shares, then blobs by namespace, each at a multiple of the width
/// of its commitment's subtrees (ADR 13), padding between.
fn lay_out(blobs: Vec<Blob>) -> (Vec<Vec<u8>>, Vec<(usize, Blob)>) {
    let share = |namespace: Namespace, first: u8| {
        [namespace.as_bytes(), &[first], &[0; 512 - 30][..]].concat()
    };
    let mut shares = vec![share(Namespace::PAY_FOR_BLOB, 1), share(Namespace::PAY_FOR_BLOB, 0)];
    let mut last = Namespace::PRIMARY_RESERVED_PADDING;
    let mut placed = Vec::new();
    for blob in blobs {
        let own = blob.to_shares().unwrap();
        let square = (own.len() as f64).sqrt().ceil() as usize;
        let width = own.len().div_ceil(64).next_power_of_two().min(square.next_power_of_two());
        while shares.len() % width != 0 {
            shares.push(share(last, 1));
        }
        last = blob.namespace;
        placed.push((shares.len(), blob));
        shares.extend(own.iter().map(|share| share.to_vec()));
    }
    let width = ((shares.len() as f64).sqrt().ceil() as usize).next_power_of_two();
    shares.resize_with(width * width, || share(Namespace::TAIL_PADDING, 1));
    (shares, placed)
}

/// One proof for each row with shares of the blob at `index`.
fn proofs(square: &ExtendedDataSquare, index: usize, blob: &Blob) -> Vec<NamespaceProof> {
    let width = usize::from(square.square_width() / 2);
    let (mut at, end) = (index, index + blob.to_shares().unwrap().len());
    let mut proofs = Vec::new();
    while at < end {
        let (row, start) = (at / width, at % width);
        let stop = width.min(start + end - at);
        let mut tree = square.row_nmt(row as u16).unwrap();
        let (_, proof) = tree.get_range_with_proof(start..stop);
        proofs.push(NamespaceProof::from(proof));
        at += stop - start;
    }
    proofs
}

/// The server.
#[derive(Clone)]
struct Node {
    url: String,
    chain: Arc<Mutex<Chain>>,
}

impl Node {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let node = Self { url, chain: Arc::new(Mutex::new(Chain::new())) };
        let serving = node.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let node = serving.clone();
                std::thread::spawn(move || node.serve(stream));
            }
        });
        node
    }

    fn layer(&self) -> Celestia {
        Celestia::new(self.options()).unwrap()
    }

    fn options(&self) -> Options {
        Options {
            token: Some(TOKEN.into()),
            wait_ms: 200,
            poll_ms: 20,
            request_ms: 10_000,
            ..Options::new(&self.url, NETWORK)
        }
    }

    fn faulty(&self, fault: Fault) {
        self.chain.lock().unwrap().fault = fault;
    }

    fn submissions(&self) -> usize {
        self.chain.lock().unwrap().submissions
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut request = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        let body = loop {
            let Some(end) = request.windows(4).position(|w| w == b"\r\n\r\n") else {
                match stream.read(&mut buffer) {
                    Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
                    _ => return,
                }
                continue;
            };
            let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
            let field =
                |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let length: usize = field("content-length:").unwrap_or("0").parse().unwrap();
            if request.len() >= end + 4 + length {
                if field("authorization:") != Some(&format!("bearer {TOKEN}")) {
                    let _ =
                        stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n");
                    return;
                }
                break request[end + 4..][..length].to_vec();
            }
            match stream.read(&mut buffer) {
                Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
                _ => return,
            }
        };
        let call: Value = serde_json::from_slice(&body).unwrap();
        let method = call["method"].as_str().unwrap();
        let answer = match self.answer(method, &call["params"]) {
            Some(Ok(result)) => json!({"jsonrpc": "2.0", "id": call["id"], "result": result}),
            Some(Err(message)) => json!({
                "jsonrpc": "2.0", "id": call["id"],
                "error": {"code": 1, "message": message},
            }),
            None => return,
        };
        let body = answer.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    }

    fn answer(&self, method: &str, params: &Value) -> Option<Result<Value, String>> {
        let mut chain = self.chain.lock().unwrap();
        let fault = chain.fault;
        let wire = |value: &dyn Fn() -> Value| Some(Ok(value()));
        match method {
            "header.NetworkHead" => {
                let header = &chain.blocks.last_key_value().unwrap().1.header;
                wire(&|| json!(header))
            }
            "header.GetByHash" => {
                let hash = params[0].as_str().unwrap();
                let mut headers = chain.blocks.values().map(|block| &block.header);
                let found = headers.find(|header| header.hash().to_string() == hash);
                Some(found.map(|header| json!(header)).ok_or("header: not found".into()))
            }
            "header.GetByHeight" => {
                let height = params[0].as_u64().unwrap();
                let Some(block) = chain.blocks.get(&height) else {
                    return Some(Err("header: not found".into()));
                };
                let mut header = block.header.clone();
                if fault == Fault::OtherRoots {
                    let (ods, _) = lay_out(Vec::new());
                    let square = ExtendedDataSquare::from_ods(ods).unwrap();
                    header.dah = DataAvailabilityHeader::from_eds(&square);
                }
                if fault == Fault::OtherChain {
                    let dah = header.dah.clone();
                    header = ExtendedHeaderGenerator::new_from_height(height).next_with_dah(dah);
                }
                wire(&|| json!(header))
            }
            "blob.Submit" => {
                match fault {
                    Fault::Refuses => return Some(Err("insufficient funds for fee".into())),
                    Fault::NothingTaken => return None,
                    _ => {}
                }
                let blobs: Vec<Blob> = serde_json::from_value(params[0].clone()).unwrap();
                assert!(blobs.iter().all(|blob| blob.validate().is_ok()));
                let bytes: usize = blobs.iter().map(|blob| blob.data.len()).sum();
                assert!(bytes < 2 << 20, "no transaction takes {bytes} bytes");
                assert!(params[1].is_object(), "options of the transaction");
                chain.submissions += 1;
                let height = chain.block(blobs);
                match fault {
                    Fault::NoAnswer => None,
                    Fault::WrongHeight => Some(Ok(json!(height - 1))),
                    _ => Some(Ok(json!(height))),
                }
            }
            "blob.Get" | "blob.GetProof" => {
                let height = params[0].as_u64().unwrap();
                let namespace: Namespace = serde_json::from_value(params[1].clone()).unwrap();
                let commitment: Commitment = serde_json::from_value(params[2].clone()).unwrap();
                let Some(block) = chain.blocks.get(&height) else {
                    return Some(Err("header: not found".into()));
                };
                let found = block
                    .blobs
                    .iter()
                    .find(|(_, blob)| (blob.namespace, blob.commitment) == (namespace, commitment));
                let Some((index, blob)) = found else {
                    return Some(Err("blob: not found".into()));
                };
                let width = usize::from(block.square.square_width() / 2);
                if method == "blob.GetProof" {
                    let mut proofs = match fault {
                        Fault::OtherProof => proofs(&block.square, index + 1, blob),
                        _ => proofs(&block.square, *index, blob),
                    };
                    if fault == Fault::ShortProof {
                        proofs.pop();
                    }
                    return wire(&|| json!(proofs));
                }
                let mut blob = blob.clone();
                blob.index = Some((index / width * 2 * width + index % width) as u64);
                match fault {
                    Fault::OtherData => blob.data[40] ^= 1,
                    Fault::OtherBlob => {
                        blob = Blob::new(blob.namespace, vec![1; 99], None).unwrap();
                    }
                    _ => {}
                }
                wire(&|| json!(blob))
            }
            other => panic!("{other} is not called"),
        }
    }
}

fn publish(node: &Node, bytes: usize) -> (atoll_layers::SpanBatch, B256, Receipt) {
    let (batch, root) = batch(1, bytes);
    let mut receipt = Receipt::new(Layer::Celestia, &batch);
    node.layer().publish(&batch, &mut receipt, &mut |_| Ok(())).unwrap();
    (batch, root, receipt)
}

fn heights(receipt: &Receipt) -> Vec<u64> {
    receipt.parts.iter().filter_map(Publication::block).collect()
}

#[test]
fn a_span_larger_than_a_transaction_goes_there_and_back() {
    let node = Node::start();
    let (batch, root, receipt) = publish(&node, 2_000_000);
    assert_eq!((heights(&receipt), node.submissions()), (vec![2, 3], 2));
    let reader = node.layer();
    let back = reader.retrieve(&receipt).unwrap();
    assert_eq!(back, batch);
    assert!(has_root(&back, root));
    let inclusion = reader.verify(&receipt, &back).unwrap();
    assert_eq!((inclusion.first_block, inclusion.last_block, inclusion.finalised), (2, 3, true));
    // Once more is no more.
    let mut again = receipt.clone();
    node.layer().publish(&batch, &mut again, &mut |_| Ok(())).unwrap();
    assert_eq!((again, node.submissions()), (receipt, 2));
}

#[test]
fn each_environment_is_under_its_own_namespace() {
    let node = Node::start();
    let (batch, _, receipt) = publish(&node, 5_000);
    let Publication::Celestia(submission) = &receipt.parts[0] else { panic!("another layer") };
    let owners = batch.spans().iter().flat_map(|span| span.streams()).map(|(owner, _)| *owner);
    let wanted: Vec<_> =
        owners.map(|owner| atoll_da::Namespace::of(NETWORK, owner).unwrap()).collect();
    let found: Vec<_> = submission.blobs.iter().map(|blob| blob.namespace).collect();
    assert_eq!(found, wanted);
    // A reader of another network is told so.
    let network = atoll_types::NetworkId(B256::repeat_byte(1));
    let other = Celestia::new(Options { network, ..node.options() }).unwrap();
    assert!(matches!(other.retrieve(&receipt), Err(LayerError::BadReceipt(_))));
}

#[test]
fn whatever_a_node_says_that_is_not_so_is_refused() {
    let node = Node::start();
    let (batch, _, receipt) = publish(&node, 60_000);
    let reader = node.layer();
    for fault in [Fault::OtherData, Fault::OtherBlob] {
        node.faulty(fault);
        let refused = reader.retrieve(&receipt);
        assert!(matches!(refused, Err(LayerError::Forged(_))), "{fault:?}: {refused:?}");
    }
    for fault in [Fault::OtherProof, Fault::ShortProof, Fault::OtherRoots] {
        node.faulty(fault);
        let refused = reader.verify(&receipt, &batch);
        assert!(matches!(refused, Err(LayerError::Forged(_))), "{fault:?}: {refused:?}");
    }
    node.faulty(Fault::None);
    reader.verify(&receipt, &batch).unwrap();

    let mut elsewhere = receipt.clone();
    if let Publication::Celestia(submission) = &mut elsewhere.parts[0] {
        submission.height = Some(1);
    }
    let refused = reader.verify(&elsewhere, &batch);
    assert!(matches!(refused, Err(LayerError::NotIncluded(_))), "{refused:?}");
    assert!(matches!(reader.retrieve(&elsewhere), Err(LayerError::Missing(_))));
    let (other, _) = common::batch(1, 60_001);
    assert!(matches!(reader.verify(&receipt, &other), Err(LayerError::BadReceipt(_))));
    let mut swapped = receipt.clone();
    if let Publication::Celestia(submission) = &mut swapped.parts[0] {
        submission.blobs.swap(0, 1);
    }
    assert!(matches!(reader.verify(&swapped, &batch), Err(LayerError::BadReceipt(_))));
    assert!(reader.retrieve(&swapped).is_err());

    let stranger = Celestia::new(Options { token: None, ..node.options() }).unwrap();
    assert!(stranger.verify(&receipt, &batch).unwrap_err().is_temporary());
}

#[test]
fn a_chain_of_other_validators_is_refused_from_a_trusted_header_on() {
    let node = Node::start();
    let trusted = node.chain.lock().unwrap().blocks[&1].header.hash();
    let trusted = B256::from_slice(trusted.as_bytes());
    let (batch, _, receipt) = publish(&node, 5_000);
    let careful = Celestia::new(Options { trusted: Some(trusted), ..node.options() }).unwrap();
    careful.verify(&receipt, &batch).unwrap();
    node.faulty(Fault::OtherChain);
    // Correct in itself: only who trusts a header of the chain sees it.
    node.layer().verify(&receipt, &batch).unwrap();
    let refused = careful.verify(&receipt, &batch);
    assert!(matches!(refused, Err(LayerError::Forged(_))), "{refused:?}");
}

#[test]
fn a_submission_without_an_answer_is_found_and_not_paid_for_twice() {
    let node = Node::start();
    let (batch, _) = batch(1, 5_000);
    let mut kept = Kept::default();
    let mut receipt = Receipt::new(Layer::Celestia, &batch);
    node.faulty(Fault::NoAnswer);
    let lost = node.layer().publish(&batch, &mut receipt, &mut |r| kept.keep(r));
    assert!(lost.unwrap_err().is_temporary());
    node.faulty(Fault::None);
    // As after a restart: all that is left is what was kept.
    let mut receipt = kept.receipt();
    assert!(!receipt.is_complete());
    node.layer().publish(&batch, &mut receipt, &mut |r| kept.keep(r)).unwrap();
    assert_eq!((heights(&receipt), node.submissions()), (vec![2], 1));
    assert_eq!(kept.receipt(), receipt);
}

#[test]
fn a_submission_that_never_arrived_is_made_again() {
    let node = Node::start();
    let (batch, _) = batch(1, 5_000);
    let mut receipt = Receipt::new(Layer::Celestia, &batch);
    node.faulty(Fault::NothingTaken);
    assert!(node.layer().publish(&batch, &mut receipt, &mut |_| Ok(())).is_err());
    node.faulty(Fault::None);
    // It may still come: not sent again before its time in a mempool has passed.
    let waits = node.layer().publish(&batch, &mut receipt, &mut |_| Ok(()));
    assert!(matches!(waits, Err(LayerError::Waiting(_))), "{waits:?}");
    assert_eq!(node.submissions(), 0);
    for _ in 0..12 {
        node.chain.lock().unwrap().block(Vec::new());
    }
    node.layer().publish(&batch, &mut receipt, &mut |_| Ok(())).unwrap();
    assert_eq!((heights(&receipt), node.submissions()), (vec![14], 1));
    assert_eq!(node.chain.lock().unwrap().head(), 14);
}

#[test]
fn refusals_and_wrong_heights_are_told() {
    let node = Node::start();
    let (batch, _) = batch(1, 5_000);
    let fresh = || Receipt::new(Layer::Celestia, &batch);
    node.faulty(Fault::Refuses);
    let mut receipt = fresh();
    let refused = node.layer().publish(&batch, &mut receipt, &mut |_| Ok(()));
    assert!(matches!(&refused, Err(LayerError::Refused(why)) if why.contains("insufficient")));
    assert!(receipt.parts.is_empty(), "nothing to look for");
    node.faulty(Fault::WrongHeight);
    let refused = node.layer().publish(&batch, &mut receipt, &mut |_| Ok(()));
    assert!(matches!(refused, Err(LayerError::NotIncluded(_))), "{refused:?}");
    node.faulty(Fault::None);
    // The node said the wrong height; the right one is found.
    node.layer().publish(&batch, &mut receipt, &mut |_| Ok(())).unwrap();
    assert_eq!((heights(&receipt), node.submissions()), (vec![2], 1));
    let refused =
        node.layer().publish(&batch, &mut fresh(), &mut |_| Err(LayerError::Keep("disk".into())));
    assert!(matches!(refused, Err(LayerError::Keep(_))));
    assert_eq!(node.submissions(), 1);
}

#[test]
fn proofs_hold_for_exactly_the_blob_wherever_it_stands() {
    let namespace = |n| Namespace::new_v0(&[n, 0, 0]).unwrap();
    let blob = |n: u8, bytes: usize| {
        Blob::new(namespace(n), common::noise(u64::from(n) + 1, bytes), None).unwrap()
    };
    let blobs = vec![blob(2, 100), blob(3, 9_000), blob(3, 700), blob(4, 40_000)];
    let (ods, placed) = lay_out(blobs);
    let square = ExtendedDataSquare::from_ods(ods).unwrap();
    let dah = DataAvailabilityHeader::from_eds(&square);
    for (index, blob) in &placed {
        let right = proofs(&square, *index, blob);
        verify_inclusion(&dah, blob, &right).unwrap();
        for (_, other) in &placed {
            if other != blob {
                assert!(verify_inclusion(&dah, other, &right).is_err());
            }
        }
        assert!(verify_inclusion(&dah, blob, &[]).is_err());
        assert!(verify_inclusion(&dah, blob, &right[1..]).is_err());
        let twice = [&right[..], &right[..]].concat();
        assert!(verify_inclusion(&dah, blob, &twice).is_err());
        let mut reversed = right.clone();
        reversed.reverse();
        assert!(right.len() == 1 || verify_inclusion(&dah, blob, &reversed).is_err());
        // Every bit of what a node may say, as it says it.
        for (at, proof) in right.iter().enumerate() {
            let said = serde_json::to_value(proof).unwrap();
            for change in ["start", "end"] {
                let mut said = said.clone();
                said[change] = json!(said[change].as_i64().unwrap() + 1);
                let Ok(changed) = serde_json::from_value::<NamespaceProof>(said) else { continue };
                let mut proofs = right.clone();
                proofs[at] = changed;
                assert!(verify_inclusion(&dah, blob, &proofs).is_err(), "{change}");
            }
            for node in 0..said["nodes"].as_array().map_or(0, Vec::len) {
                let mut said = said.clone();
                said["nodes"].as_array_mut().unwrap().remove(node);
                let Ok(changed) = serde_json::from_value::<NamespaceProof>(said) else { continue };
                let mut proofs = right.clone();
                proofs[at] = changed;
                assert!(verify_inclusion(&dah, blob, &proofs).is_err(), "without node {node}");
            }
        }
    }
}

#[test]
fn shares_that_do_not_follow_each_other_are_no_blob() {
    let namespace = Namespace::new_v0(&[2, 0, 0]).unwrap();
    let blob = Blob::new(namespace, common::noise(1, 1_400), None).unwrap();
    let other = Blob::new(namespace, vec![9; 10], None).unwrap();
    let (mut ods, _) = lay_out(Vec::new());
    ods.truncate(1);
    // Rows of four: the blob's first two shares, another's, the blob's third in the next row.
    let shares = [blob.to_shares().unwrap(), other.to_shares().unwrap()].concat();
    let order = [0, 1, 3, 2].map(|at: usize| shares[at].to_vec());
    ods.extend(order);
    let tail = [Namespace::TAIL_PADDING.as_bytes(), &[1], &[0; 512 - 30][..]].concat();
    ods.resize(16, tail);
    let square = ExtendedDataSquare::from_ods(ods).unwrap();
    let dah = DataAvailabilityHeader::from_eds(&square);
    let proof = |row: u16, range: std::ops::Range<usize>| {
        let (_, proof) = square.row_nmt(row).unwrap().get_range_with_proof(range);
        NamespaceProof::from(proof)
    };
    let proofs = [proof(0, 1..3), proof(1, 0..1)];
    for ((proof, shares), row) in proofs.iter().zip([&shares[..2], &shares[2..3]]).zip(0..) {
        assert!(proof.verify_range(&dah.row_root(row).unwrap(), shares, *namespace).is_ok());
    }
    assert!(verify_inclusion(&dah, &blob, &proofs).is_err());
}

//! Which certificates are believed, and what is derived from where one is not.

use super::*;
use crate::hub::published::{Published, PublishedStore};
use atoll_types::Commitment;

const NETWORK: NetworkId = NetworkId(B256::repeat_byte(7));

fn key() -> SigningKey {
    SigningKey::from_label("sequencer")
}

fn counts(signer: Address) -> Result<bool> {
    Ok(signer == key().address())
}

fn span(first: u64) -> SpanRoot {
    SpanRoot { slots: (first, first + 49), data_root: B256::repeat_byte(first as u8) }
}

/// Slots 51 to 200, each of the three spans with its certificate.
fn run() -> Run {
    let spans = vec![span(51), span(101), span(151)];
    let of = |end: usize| Certificate::sign(&key(), &NETWORK, &spans[..=end]).unwrap();
    Run { certificates: (0..3).map(of).collect(), spans }
}

/// What is left of a run, and what was said of the rest.
fn cut(mut run: Run) -> (Option<u64>, Option<(u64, u64)>, Vec<String>) {
    let mut refused = Vec::new();
    let certificate = run.cut(&NETWORK, counts, |why| refused.push(why)).unwrap();
    (run.last_slot(), certificate.map(|certificate| certificate.slots()), refused)
}

#[test]
fn the_longest_certificate_is_taken() {
    assert_eq!(cut(run()), (Some(200), Some((51, 200)), Vec::new()));
    assert_eq!(cut(Run::default()), (None, None, Vec::new()));
    let round = Certificate::from_bytes(&run().certificates[2].to_bytes()).unwrap();
    assert_eq!(round, run().certificates[2]);
}

#[test]
fn it_is_the_one_that_a_commitment_of_these_slots_has() {
    let run = run();
    let promise = availability_digest(&NETWORK, (51, 200), data_of(&run.spans));
    assert_eq!(run.certificates[2].signature, key().sign(&promise));
}

#[test]
fn without_a_certificate_only_what_is_before_is_derived() {
    let mut some = run();
    some.certificates.truncate(1);
    let (last, slots, refused) = cut(some);
    assert_eq!((last, slots), (Some(100), Some((51, 100))));
    assert_eq!(refused, ["of slots 101 to 200 no certificate was kept"]);
    let mut none = run();
    none.certificates.clear();
    let (last, slots, refused) = cut(none);
    assert_eq!((last, slots), (None, None));
    assert_eq!(refused, ["of slots 51 to 200 no certificate was kept"]);
    let mut gone = run();
    gone.before(160);
    assert_eq!(cut(gone), (Some(150), Some((51, 150)), Vec::new()));
}

#[test]
fn a_forged_certificate_is_refused_and_a_shorter_one_taken() {
    let mut forged = run();
    let thief = SigningKey::from_label("thief");
    forged.certificates[2] = Certificate::sign(&thief, &NETWORK, &forged.spans).unwrap();
    let (last, slots, refused) = cut(forged);
    assert_eq!((last, slots), (Some(150), Some((51, 150))));
    let who = thief.address();
    assert_eq!(
        refused,
        [format!(
            "the certificate of slots 51 to 200 is signed by {who}, who is not of the availability \
             committee"
        )]
    );
    // Of another network; and with a signature of something else.
    let mut foreign = run();
    let other = NetworkId(B256::repeat_byte(8));
    foreign.certificates = vec![Certificate::sign(&key(), &other, &foreign.spans).unwrap()];
    foreign.certificates.insert(0, run().certificates[0].clone());
    foreign.certificates[0].signature = run().certificates[1].signature;
    let (last, slots, refused) = cut(foreign);
    assert_eq!((last, slots, refused.len()), (None, None, 2));
    assert!(refused.iter().all(|why| why.contains("not of the availability committee")));
}

#[test]
fn a_certificate_of_other_slots_or_data_is_refused() {
    let mut late = run();
    let own = &late.spans[1..];
    late.certificates[2] = Certificate::sign(&key(), &NETWORK, own).unwrap();
    late.certificates.remove(0);
    let (last, slots, refused) = cut(late.clone());
    assert_eq!((last, slots), (Some(150), Some((51, 150))));
    assert!(refused[0].contains("101 to 200 does not begin with slot 51"), "{refused:?}");
    // That of a later commitment has its turn later.
    late.certificates[0] = run().certificates[0].clone();
    assert_eq!(cut(late), (Some(100), Some((51, 100)), Vec::new()));
    // Said to begin where it should: it is of other data then, and was not signed for these.
    let mut moved = run();
    let own = &moved.spans[1..];
    let mut certificate = Certificate::sign(&key(), &NETWORK, own).unwrap();
    certificate.first_slot = 51;
    moved.certificates[2] = certificate.clone();
    assert!(cut(moved.clone()).2[0].contains("51 to 200 is of other data than was published"));
    certificate.data = data_of(&moved.spans);
    moved.certificates[2] = certificate;
    assert!(cut(moved).2[0].contains("not of the availability committee"));
    // Other data than the span that is there.
    let mut other = run();
    other.spans[0].data_root = B256::ZERO;
    let (last, _, refused) = cut(other);
    assert_eq!((last, refused.len()), (None, 3));
    // A span in between is not there.
    let mut gap = run();
    gap.spans.remove(1);
    assert!(cut(gap).2[0].contains("covers slot 101, whose span is not there"));
}

#[test]
fn a_run_is_no_longer_than_the_certificates_it_is_left_with() {
    let run = run();
    let some = run.with(run.certificates[..2].to_vec());
    assert_eq!((some.last_slot(), some.certificates.len()), (Some(150), 2));
    // One in between may be missing: it is covered by the next.
    let last = run.with(vec![run.certificates[2].clone()]);
    assert_eq!((last.spans.len(), cut(last)), (3, (Some(200), Some((51, 200)), Vec::new())));
    assert_eq!(run.with(Vec::new()), Run::default());
}

#[test]
fn whose_promise_counts_must_be_known() {
    let unknown = run().cut(&NETWORK, |_| bail!("the hub is away"), |why| panic!("{why}"));
    assert_eq!(unknown.unwrap_err().to_string(), "the hub is away");
}

#[test]
fn slots_are_found_where_commitments_in_between_were_derived() {
    let folder = tempfile::tempdir().unwrap();
    let store = PublishedStore::open(folder.path()).unwrap();
    let hash = B256::ZERO;
    let published = |number: u64, spans: &[SpanRoot]| Published {
        commitment: Commitment {
            network: NETWORK,
            previous: hash,
            number,
            slots: (spans[0].slots.0, spans[spans.len() - 1].slots.1),
            slot_hash: hash,
            cursor: 0,
            queue_hash: hash,
            statements: hash,
            withdrawals_root: hash,
            withdrawals_count: 0,
            transfers: hash,
            data: data_of(spans),
        },
        statements: Vec::new(),
        transfers: Vec::new(),
        spans: spans.to_vec(),
        signature: key().sign(&hash),
        availability: key().sign(&hash),
    };
    // Commitments 2, 4 and 5 are kept nowhere.
    for (number, first) in [(1, 1), (3, 101), (6, 251), (7, 301)] {
        store.add(published(number, &[span(first)]), &[]).unwrap();
    }
    let number = |slot| store.covering(slot).unwrap().map(|found| found.commitment.number);
    let found = [50, 51, 101, 150, 151, 250, 251, 350, 351].map(number);
    assert_eq!(found, [Some(1), None, Some(3), Some(3), None, None, Some(6), Some(7), None]);
    let run = store.run(251).unwrap();
    assert_eq!((run.last_slot(), run.certificates.len()), (Some(350), 2));
}

#[test]
fn what_was_certified_stays_and_nothing_else_is_certified_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = run();
    {
        let store = PublishedStore::open(folder.path()).unwrap();
        assert_eq!(store.run(51).unwrap(), Run::default());
        run.certificates.iter().for_each(|c| store.certify(c.clone()).unwrap());
    }
    let store = PublishedStore::open(folder.path()).unwrap();
    assert_eq!(store.run(51).unwrap(), run);
    assert_eq!(store.run(101).unwrap().certificates, run.certificates[1..]);
    assert_eq!(store.run(52).unwrap(), Run::default());
    assert_eq!(store.certificate(120).unwrap().as_ref(), Some(&run.certificates[1]));
    assert_eq!(store.certificate(50).unwrap(), None);
    assert_eq!(store.certificate(201).unwrap(), None);
    // The same again is the same; another data root, or slots that overlap, are not.
    store.certify(run.certificates[1].clone()).unwrap();
    let mut spans = run.spans[..2].to_vec();
    spans[1].data_root = B256::ZERO;
    let other = Certificate::sign(&key(), &NETWORK, &spans).unwrap();
    let refused = format!("{:#}", store.certify(other).unwrap_err());
    assert!(refused.contains("slots 101 to 150 were certified with other data"), "{refused}");
    spans[1] = SpanRoot { slots: (101, 130), ..span(101) };
    assert!(store.certify(Certificate::sign(&key(), &NETWORK, &spans).unwrap()).is_err());
    spans[1] = SpanRoot { slots: (120, 170), ..span(120) };
    assert!(store.certify(Certificate::sign(&key(), &NETWORK, &spans).unwrap()).is_err());
    // When it was first seen to be published, and never again.
    assert_eq!(store.noted(101).unwrap(), None);
    store.note(101, 1_700_000_000).unwrap();
    store.note(101, 1_800_000_000).unwrap();
    assert_eq!(store.noted(101).unwrap(), Some(1_700_000_000));
    store.forget_certificates(101).unwrap();
    assert_eq!(store.run(51).unwrap(), Run::default());
    assert_eq!(store.run(101).unwrap().spans, run.spans[1..]);
}

//! Mailboxes as a whole: many writers, a reader that comes and goes, and everything that is no message.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn mailbox() -> TempDir {
    let folder = tempfile::tempdir().expect("folder");
    create(folder.path()).expect("mailbox");
    create(folder.path()).expect("again");
    folder
}

fn envelope(id: &str, text: &str) -> Envelope {
    let body = Report::Progress { text: text.to_owned() };
    Envelope { id: id.to_owned(), attempt: "nonce".to_owned(), sent_at_ms: 0, body }
}

fn open(folder: &TempDir) -> Reader {
    Reader::open(folder.path()).expect("opened")
}

/// Takes until there is nothing, as pairs of number and id; a corrupt one has its reason.
fn take_all(reader: &mut Reader) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    loop {
        let taken = reader.take().expect("taken");
        if taken.is_empty() {
            return all;
        }
        all.extend(taken.into_iter().map(|taken| match taken {
            Taken::Message { seq, envelope } => (seq, envelope.id),
            Taken::Corrupt { seq, reason, .. } => (seq, reason),
        }));
    }
}

fn pairs(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected.iter().map(|(seq, id)| (*seq, (*id).to_owned())).collect()
}

fn count(folder: &Path, name: &str) -> usize {
    fs::read_dir(folder.join(name)).expect("listed").count()
}

#[test]
fn ids_cannot_name_paths() {
    for good in ["a", "A-b_9", &"x".repeat(64), &new_id()] {
        assert!(is_valid_id(good), "{good}");
    }
    for bad in ["", "..", "a/b", "a.b", "a b", "a\0", "é", &"x".repeat(65)] {
        assert!(!is_valid_id(bad), "{bad}");
    }
    assert_ne!(new_id(), new_id());
}

#[test]
fn order_is_that_of_arrival_whatever_the_clocks_say() {
    let folder = mailbox();
    for (id, clock) in [("z", 900), ("a", 5), ("m", 0)] {
        deliver(folder.path(), &Envelope { sent_at_ms: clock, ..envelope(id, "x") }).expect("delivered");
    }
    let mut reader = open(&folder);
    assert_eq!(take_all(&mut reader), pairs(&[(1, "z"), (2, "a"), (3, "m")]));
    reader.ack_all([1, 2, 3]).expect("acknowledged");
    // Nothing is left in the folders: the order goes on from the log.
    deliver(folder.path(), &envelope("later", "x")).expect("delivered");
    assert!(folder.path().join("new/0000000000000004.json").exists());
    assert_eq!((count(folder.path(), "cur"), count(folder.path(), "tmp")), (0, 0));
    assert_eq!(take_all(&mut reader), pairs(&[(4, "later")]));
}

#[test]
fn what_was_not_acknowledged_comes_again_with_its_number() {
    let folder = mailbox();
    for id in ["a", "a-b", "b"] {
        deliver(folder.path(), &envelope(id, "x")).expect("delivered");
    }
    let mut reader = open(&folder);
    take_all(&mut reader);
    reader.ack(3).expect("acknowledged");
    reader.ack(3).expect("twice is once");
    drop(reader);
    deliver(folder.path(), &envelope("c", "x")).expect("delivered");
    let mut reader = open(&folder);
    assert_eq!(take_all(&mut reader), pairs(&[(1, "a"), (2, "a-b"), (4, "c")]), "acknowledging b leaves a-b alone");
}

#[test]
fn a_crash_between_remembering_and_removing_changes_nothing() {
    let folder = mailbox();
    deliver(folder.path(), &envelope("a", "x")).expect("delivered");
    let mut reader = open(&folder);
    take_all(&mut reader);
    let name = folder.path().join("cur").join(folder::taken_name(1, 1));
    let content = fs::read(&name).expect("content");
    reader.ack(1).expect("acknowledged");
    drop(reader);
    fs::write(&name, content).expect("as if it had not been removed");
    assert_eq!(take_all(&mut open(&folder)), []);
    assert!(!name.exists());
}

#[test]
fn a_message_sent_twice_is_yielded_once() {
    let folder = mailbox();
    let mut reader = open(&folder);
    deliver(folder.path(), &envelope("a", "x")).expect("delivered");
    deliver(folder.path(), &Envelope { sent_at_ms: 77, ..envelope("a", "x") }).expect("a retry");
    assert_eq!(take_all(&mut reader), pairs(&[(1, "a")]));
    deliver(folder.path(), &envelope("a", "x")).expect("while held");
    assert_eq!(take_all(&mut reader), []);
    reader.ack(1).expect("acknowledged");
    drop(reader);
    deliver(folder.path(), &envelope("a", "x")).expect("after a restart");
    let mut reader = open(&folder);
    assert_eq!(take_all(&mut reader), []);
    assert_eq!(count(folder.path(), "new"), 0);
    deliver(folder.path(), &envelope("a", "something else")).expect("delivered");
    assert_eq!(take_all(&mut reader), pairs(&[(2, "another message has the same id")]));
    assert_eq!(count(folder.path(), "corrupt"), 1, "it is kept");
}

#[test]
fn bad_ids_and_large_messages_are_refused_by_the_writer() {
    let folder = mailbox();
    for id in ["../../escape", "", "a/b"] {
        assert!(matches!(deliver(folder.path(), &envelope(id, "x")), Err(MailboxError::InvalidId(_))));
    }
    let large = "x".repeat(1024 * 1024);
    assert!(matches!(deliver(folder.path(), &envelope("a", &large)), Err(MailboxError::TooLarge(_))));
    assert_eq!((count(folder.path(), "new"), count(folder.path(), "tmp")), (0, 0));
}

#[test]
fn a_report_of_another_attempt_is_kept_aside() {
    let folder = mailbox();
    for (id, attempt) in [("own", "nonce"), ("other", "another"), ("none", ""), ("last", "nonce")] {
        deliver(folder.path(), &Envelope { attempt: attempt.into(), ..envelope(id, "x") }).expect("delivered");
    }
    let mut reader = Reader::open_of(folder.path(), "nonce").expect("opened");
    let reason = "it does not carry the nonce of this attempt";
    let expected = pairs(&[(1, "own"), (2, reason), (3, reason), (4, "last")]);
    assert_eq!(take_all(&mut reader), expected);
    assert_eq!(count(folder.path(), "corrupt"), 2, "they are kept");
    drop(reader);
    assert_eq!(take_all(&mut Reader::open_of(folder.path(), "nonce").expect("opened")), expected, "as before");
}

#[test]
fn a_log_that_somebody_else_wrote_breaks_nobody() {
    let folder = mailbox();
    fs::write(folder.path().join("acked.log"), "7 18446744073709551615\n18446744073709551615 3\n").expect("written");
    deliver(folder.path(), &envelope("a", "x")).expect("delivered");
    assert_eq!(take_all(&mut open(&folder)), pairs(&[(1, "a")]));
    fs::File::create(folder.path().join("acked.log")).expect("made").set_len(1 << 40).expect("a terabyte");
    assert!(matches!(Reader::<Report>::open(folder.path()), Err(MailboxError::Io { .. })));
    deliver(folder.path(), &envelope("b", "x")).expect("writers read only its end");
}

#[test]
fn there_is_one_reader() {
    let folder = mailbox();
    let reader = open(&folder);
    assert!(matches!(Reader::<Report>::open(folder.path()), Err(MailboxError::Busy(_))));
    drop(reader);
    open(&folder);
}

#[test]
fn what_is_no_message_is_kept_told_once_and_holds_up_nothing() {
    let folder = mailbox();
    let outside = tempfile::tempdir().expect("folder");
    let secret = outside.path().join("secret");
    fs::write(&secret, serde_json::to_vec(&envelope("stolen", "x")).expect("json")).expect("written");
    let new = folder.path().join("new");
    let at = |number: u64| new.join(folder::new_name(number));
    fs::write(at(1), "not json").expect("written");
    symlink(&secret, at(2)).expect("link");
    fs::create_dir(at(3)).expect("folder");
    fs::write(at(3).join("inside"), "kept").expect("written");
    rustix::fs::mkfifoat(rustix::fs::CWD, at(4), rustix::fs::Mode::RWXU).expect("fifo");
    fs::File::create(at(5)).expect("made").set_len(1 << 40).expect("a terabyte");
    fs::write(at(6), serde_json::to_vec(&envelope("../x", "x")).expect("json")).expect("written");
    fs::write(new.join(std::ffi::OsStr::from_bytes(b"\xff odd name")), "{}").expect("written");
    fs::write(new.join("9999999999999999.json"), "{}").expect("written");
    fs::write(new.join(".hidden"), "ignored").expect("written");
    deliver(folder.path(), &envelope("good", "x")).expect("delivered");
    let mut reader = open(&folder);
    let told = take_all(&mut reader);
    let reasons: Vec<&str> = told.iter().map(|(_, reason)| reason.split(':').next().expect("text")).collect();
    assert_eq!(
        reasons,
        [
            "it cannot be understood",
            "it is a symbolic link",
            "it is a folder",
            "it is not a file",
            "it is larger than 1 MiB",
            "its id is not a valid one",
            "good",
            "its name is none that a writer gives",
            "its name is none that a writer gives",
        ]
    );
    assert_eq!(take_all(&mut reader), []);
    assert_eq!(count(folder.path(), "corrupt"), 8);
    assert!(secret.exists() && folder.path().join("corrupt").join(folder::taken_name(3, 3)).join("inside").exists());
    reader.ack_all(1..8).expect("acknowledged");
    drop(reader);
    let again = take_all(&mut open(&folder));
    assert_eq!(again.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [8, 9], "those not acknowledged");
    assert_eq!(count(folder.path(), "corrupt"), 8);
}

#[test]
fn a_folder_swapped_for_a_link_is_not_followed() {
    let folder = mailbox();
    let outside = tempfile::tempdir().expect("folder");
    fs::write(outside.path().join("users.json"), "precious").expect("written");
    fs::remove_dir(folder.path().join("new")).expect("removed");
    symlink(outside.path(), folder.path().join("new")).expect("link");
    assert!(matches!(Reader::<Report>::open(folder.path()), Err(MailboxError::Io { .. })));
    assert!(outside.path().join("users.json").exists());
}

#[test]
fn running_out_of_descriptors_is_an_error_and_not_corruption() {
    const CHILD: &str = "RALPH_TEST_DESCRIPTORS";
    let name = "infra::mailbox::tests::running_out_of_descriptors_is_an_error_and_not_corruption";
    if std::env::var_os(CHILD).is_none() {
        // The limit holds for a whole process, so this test runs itself in one of its own.
        let output = std::process::Command::new(std::env::current_exe().expect("the test binary"))
            .args([name, "--exact", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .expect("ran");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let folder = mailbox();
    for number in 0..20 {
        deliver(folder.path(), &envelope(&format!("m{number}"), "x")).expect("delivered");
    }
    let mut reader = open(&folder);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let few = rustix::process::Rlimit { current: Some(64), ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).expect("limited");
    let mut taken = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        taken.push(file);
    }
    match reader.take() {
        Err(MailboxError::Io { source, .. }) => assert_eq!(source.raw_os_error(), Some(24)),
        other => panic!("{other:?}"),
    }
    drop(taken);
    assert_eq!((count(folder.path(), "corrupt"), count(folder.path(), "new")), (0, 20));
    assert_eq!(take_all(&mut reader).len(), 20);
}

#[tokio::test]
async fn arrivals_are_told() {
    let folder = mailbox();
    let mut reader = open(&folder);
    let watch = reader.watch();
    assert_eq!(take_all(&mut reader), []);
    deliver(folder.path(), &envelope("a", "x")).expect("delivered");
    tokio::time::timeout(Duration::from_secs(30), watch.changed()).await.expect("told");
    assert_eq!(take_all(&mut reader), pairs(&[(1, "a")]));
}

#[test]
fn other_bodies_use_the_same_form() {
    let folder = mailbox();
    let answer = Envelope { id: "1".into(), attempt: "n".into(), sent_at_ms: 1, body: vec!["use tabs".to_owned()] };
    deliver(folder.path(), &answer).expect("delivered");
    let mut reader: Reader<Vec<String>> = Reader::open(folder.path()).expect("opened");
    assert_eq!(reader.take().expect("taken"), [Taken::Message { seq: 1, envelope: answer }]);
}

#[test]
fn sixteen_writers_and_a_reader_that_keeps_dying() {
    const WRITERS: usize = 16;
    const MESSAGES: usize = 200;
    let folder = mailbox();
    let path = folder.path();
    // What the engine's journal would hold: one id for each number.
    let mut journal: BTreeMap<u64, String> = BTreeMap::new();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                for message in 0..MESSAGES {
                    let envelope = envelope(&format!("w{writer}-{message}"), "x");
                    deliver(path, &envelope).expect("delivered");
                    if message % 7 == 0 {
                        deliver(path, &envelope).expect("a retry");
                    }
                }
            });
        }
        // A fixed sequence of pseudo-random numbers decides where the reader dies.
        let mut dice = 1u32;
        let mut roll = |sides: u32| {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (dice >> 16) % sides
        };
        while journal.len() < WRITERS * MESSAGES {
            let mut reader = Reader::<Report>::open(path).expect("opened");
            for _ in 0..=roll(4) {
                let taken = reader.take().expect("taken");
                let mut done = Vec::new();
                for taken in taken {
                    let Taken::Message { seq, envelope } = taken else { panic!("{taken:?}") };
                    let known = journal.entry(seq).or_insert_with(|| envelope.id.clone());
                    assert_eq!(*known, envelope.id, "a number means one message");
                    if roll(3) > 0 {
                        done.push(seq);
                    }
                }
                reader.ack_all(done).expect("acknowledged");
            }
        }
    });
    let ids: BTreeSet<&String> = journal.values().collect();
    assert_eq!((ids.len(), journal.len()), (WRITERS * MESSAGES, WRITERS * MESSAGES), "none lost, none twice");
    let mut next = [0; WRITERS];
    for id in journal.values() {
        let (writer, message) = id[1..].split_once('-').expect("an id of ours");
        let writer: usize = writer.parse().expect("a number");
        assert_eq!(message.parse(), Ok(next[writer]), "the order of writer {writer}");
        next[writer] += 1;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Deliver(u8),
    Garbage,
    Take,
    Acknowledge(u8),
    Reopen,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_message_has_one_number_until_it_is_acknowledged(
        steps in prop::collection::vec(prop_oneof![
            4 => (0u8..12).prop_map(Step::Deliver),
            1 => Just(Step::Garbage),
            3 => Just(Step::Take),
            2 => any::<u8>().prop_map(Step::Acknowledge),
            2 => Just(Step::Reopen),
        ], 0..40),
    ) {
        let folder = mailbox();
        let mut reader = Some(open(&folder));
        let mut delivered: Vec<String> = Vec::new();
        let mut garbage = 0;
        let mut numbers: BTreeMap<u64, String> = BTreeMap::new();
        let mut acknowledged: BTreeSet<u64> = BTreeSet::new();
        for step in steps.into_iter().chain([Step::Reopen, Step::Take]) {
            let current = reader.as_mut().expect("open");
            match step {
                Step::Deliver(number) => {
                    let id = format!("m{number}");
                    deliver(folder.path(), &envelope(&id, "x")).expect("delivered");
                    if !delivered.contains(&id) {
                        delivered.push(id);
                    }
                }
                Step::Garbage => {
                    garbage += 1;
                    fs::write(folder.path().join(format!("new/garbage-{garbage}")), "?").expect("written");
                }
                Step::Take => {
                    for (seq, id) in take_all(current) {
                        prop_assert!(!acknowledged.contains(&seq));
                        prop_assert_eq!(numbers.entry(seq).or_insert_with(|| id.clone()), &id);
                    }
                }
                Step::Acknowledge(pick) => {
                    if let Some(seq) = numbers.keys().nth(usize::from(pick) % numbers.len().max(1)) {
                        current.ack(*seq).expect("acknowledged");
                        acknowledged.insert(*seq);
                    }
                }
                Step::Reopen => {
                    reader = None;
                    reader = reader.or_else(|| Some(open(&folder)));
                }
            }
        }
        let yielded: Vec<&String> = numbers.values().filter(|id| id.starts_with('m')).collect();
        prop_assert_eq!(yielded, delivered.iter().collect::<Vec<_>>());
        prop_assert_eq!(numbers.len(), delivered.len() + garbage);
    }
}

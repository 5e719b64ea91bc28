//! Mailboxes with real processes: a reader that is killed, a system without descriptors, a disk that cannot be written.

use super::bad_input::disk::in_namespace;
use super::sandbox::{PROGRAM, Sandbox};
use ralph_sidecar::domain::inbox::{InboxKind, InboxMessage};
use ralph_sidecar::domain::report::Report;
use ralph_sidecar::infra::mailbox::{self, Envelope, Inbox, Reader, Taken};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const NONCE: &str = "n1";
/// Makes this test binary the reader of the mailbox it names.
const READER: &str = "RALPH_TEST_READER";
/// What the reader writes into, as the engine into its journal.
const JOURNAL: &str = "journal";

fn envelope(id: &str) -> Envelope {
    let body = Report::Progress { text: "x".into() };
    Envelope { id: id.into(), attempt: NONCE.into(), sent_at_ms: 0, body }
}

/// Pseudo-random numbers, so that a failure can be had again.
struct Dice(u32);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) % sides
    }
}

/// Takes, journals and acknowledges until it is killed; prints a byte at each step.
fn read_until_killed(mailbox: &Path) -> ! {
    let mut journal = OpenOptions::new().append(true).create(true).open(mailbox.join(JOURNAL)).expect("journal");
    let mut reader: Reader = Reader::open_of(mailbox, NONCE).expect("the reader before is dead");
    let mut stdout = std::io::stdout();
    loop {
        let taken = reader.take().expect("taken");
        if taken.is_empty() {
            std::thread::yield_now();
            continue;
        }
        let step = |out: &mut std::io::Stdout| out.write_all(b".").and_then(|()| out.flush()).expect("told");
        step(&mut stdout);
        // In parts, so that it can die between any two.
        for part in taken.chunks(16) {
            let mut lines = String::new();
            for taken in part {
                let Taken::Message { seq, envelope } = taken else { panic!("{taken:?}") };
                lines.push_str(&format!("{seq} {}\n", envelope.id));
            }
            journal.write_all(lines.as_bytes()).expect("journaled");
            step(&mut stdout);
            reader.ack_all(part.iter().map(Taken::seq)).expect("acknowledged");
            step(&mut stdout);
        }
    }
}

fn start_reader(mailbox: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this binary"))
        .args(["mailbox::sixteen_writers_and_a_reader_that_is_killed", "--exact", "--nocapture"])
        .env(READER, mailbox)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started")
}

/// What was journaled so far: the id of each number.
#[derive(Default)]
struct Journal {
    read: u64,
    ids: BTreeMap<u64, String>,
}

impl Journal {
    /// Reads what is new, and returns how many messages there are. Fails when a number stands for two of them.
    fn read_on(&mut self, mailbox: &Path) -> usize {
        let mut new = String::new();
        if let Ok(mut file) = fs::File::open(mailbox.join(JOURNAL)) {
            file.seek(SeekFrom::Start(self.read)).expect("it only grows");
            file.read_to_string(&mut new).expect("read");
        }
        let whole = new.rfind('\n').map_or("", |end| &new[..=end]);
        self.read += whole.len() as u64;
        for line in whole.lines() {
            let (seq, id) = line.split_once(' ').expect("a line is written whole");
            let seq = seq.parse().expect("a number");
            let known = self.ids.entry(seq).or_insert_with(|| id.to_owned());
            assert_eq!(known, id, "{seq} stands for one message");
        }
        self.ids.len()
    }
}

/// 16 writers send 1,000 messages each, some of them twice.
#[test]
fn sixteen_writers_and_a_reader_that_is_killed() {
    const WRITERS: usize = 16;
    const MESSAGES: usize = 1000;
    if let Some(mailbox) = std::env::var_os(READER) {
        read_until_killed(Path::new(&mailbox));
    }
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path();
    mailbox::create(path).expect("mailbox");
    let mut dice = Dice(7);
    let mut killed = 0;
    let mut journal = Journal::default();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                for message in 0..MESSAGES {
                    let envelope = envelope(&format!("w{writer}-{message}"));
                    mailbox::deliver(path, &envelope).expect("delivered");
                    if message % 9 == 0 {
                        mailbox::deliver(path, &envelope).expect("a retry");
                    }
                }
            });
        }
        while journal.read_on(path) < WRITERS * MESSAGES {
            let mut reader = start_reader(path);
            let mut steps = reader.stdout.take().expect("piped");
            // The test harness says a few words first, which count as steps; what is left is done without more.
            let wanted = 60 + dice.roll(40);
            let mut byte = [0];
            for _ in 0..wanted {
                if journal.read_on(path) == WRITERS * MESSAGES || steps.read(&mut byte).expect("read") == 0 {
                    break;
                }
            }
            reader.kill().expect("killed");
            reader.wait().expect("reaped");
            killed += 1;
        }
    });
    eprintln!("{} messages, the reader killed {killed} times", WRITERS * MESSAGES);
    assert!(killed > 20, "it was killed {killed} times");
    let journal = journal.ids;
    let ids: BTreeSet<&String> = journal.values().collect();
    assert_eq!((ids.len(), journal.len()), (WRITERS * MESSAGES, WRITERS * MESSAGES), "none lost, none twice");
    let mut next = [0; WRITERS];
    for id in journal.values() {
        let (writer, message) = id[1..].split_once('-').expect("an id of ours");
        let writer: usize = writer.parse().expect("a number");
        assert_eq!(message.parse(), Ok(next[writer]), "the order of writer {writer}");
        next[writer] += 1;
    }
    // What the last reader could not acknowledge comes again with its number, and nothing else does.
    let mut reader: Reader = Reader::open_of(path, NONCE).expect("free");
    for taken in reader.take().expect("taken") {
        let Taken::Message { seq, envelope } = taken else { panic!("{taken:?}") };
        assert_eq!(journal.get(&seq), Some(&envelope.id));
    }
    assert_eq!(fs::read_dir(path.join("corrupt")).expect("listed").count(), 0);
}

/// Runs `ralph-sidecar report progress N` with this limit of descriptors; returns the exit code and what it complained.
fn report_with(mailbox: &Path, number: u32, descriptors: u32) -> (i32, String) {
    let script = format!("ulimit -n {descriptors}; exec {PROGRAM} report progress {number}");
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("RALPH_MAILBOX", mailbox)
        .env("RALPH_NONCE", NONCE)
        .output()
        .expect("ran");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn without_descriptors_a_report_is_delivered_or_refused_and_nothing_between() {
    let folder = tempfile::tempdir().expect("folder");
    mailbox::create(folder.path()).expect("mailbox");
    let message = InboxMessage { id: "s1".into(), kind: InboxKind::Steer, text: "use tabs".into() };
    mailbox::deliver_to_inbox(folder.path(), &message, 0).expect("delivered");
    let (mut delivered, mut refused, mut noted) = (Vec::new(), 0, 0);
    for descriptors in 3..=10 {
        match report_with(folder.path(), descriptors, descriptors) {
            (0, said) => {
                delivered.push(descriptors.to_string());
                noted += u32::from(said.contains("what the user may have said is unread"));
            }
            (_, said) => {
                assert!(said.contains("Too many open files") || said.contains("error while loading"), "{said}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && !delivered.is_empty(), "{refused} refused, {delivered:?} delivered");
    assert!(noted > 0, "a report counts also where there is no descriptor left for the inbox");
    let mut reader: Reader = Reader::open_of(folder.path(), NONCE).expect("free");
    let taken = reader.take().expect("taken");
    let texts: Vec<String> = taken
        .into_iter()
        .map(|taken| match taken {
            Taken::Message { envelope: Envelope { body: Report::Progress { text }, .. }, .. } => text,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, delivered);
    assert_eq!(fs::read_dir(folder.path().join("corrupt")).expect("listed").count(), 0);
}

#[test]
fn a_read_only_disk_loses_no_report_and_no_word() {
    let sandbox = Sandbox::bare();
    let path = sandbox.base().join("mail");
    mailbox::create(&path).expect("mailbox");
    for number in 0..40 {
        mailbox::deliver(&path, &envelope(&format!("m{number}"))).expect("delivered");
    }
    let message = InboxMessage { id: "q1".into(), kind: InboxKind::Query, text: "how far?".into() };
    mailbox::deliver_to_inbox(&path, &message, 0).expect("delivered");
    let script = r#"mount --bind @BASE@/mail @BASE@/mail; mount -o remount,ro,bind @BASE@/mail
export RALPH_MAILBOX=@BASE@/mail RALPH_NONCE=n1
@RALPH@ report progress lost && echo accepted || echo refused
@RALPH@ report inbox && echo accepted || echo refused"#;
    let Some(ran) = in_namespace(&sandbox, script) else { return };
    assert_eq!(ran.out, "refused\nrefused\n", "{ran:?}");
    ran.complains(&["Read-only file system"]);
    let mut reader: Reader = Reader::open_of(&path, NONCE).expect("free");
    let mut ids = Vec::new();
    for taken in reader.take().expect("taken") {
        let Taken::Message { envelope, .. } = taken else { panic!("{taken:?}") };
        ids.push(envelope.id);
    }
    assert_eq!(ids, (0..40).map(|number| format!("m{number}")).collect::<Vec<_>>());
    assert_eq!(Inbox::open(&path).expect("free").unread().expect("read"), [message]);
}

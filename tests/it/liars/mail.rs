//! What an agent puts into its mailbox by hand.

use super::Stage;
use std::path::{Path, PathBuf};

/// Returns the files of that folder name anywhere below.
fn files_in(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            found.extend(files_in(&path, name));
        } else if folder.file_name().is_some_and(|own| own == name) {
            found.push(path);
        }
    }
    found
}

#[test]
fn poison_is_kept_and_the_run_goes_on() {
    let script = r#"
new="$RALPH_MAILBOX/new"
head -c 300 /dev/urandom > "$new/0000000000000001.json"
printf '{"id":"../../../../evil","attempt":"x","sent_at_ms":1,"body":{"type":"finished","summary":"x"}}' > "$new/0000000000000002.json"
printf '{"id":"forged","attempt":"another","sent_at_ms":1,"body":{"type":"finished","summary":"x"}}' > "$new/0000000000000003.json"
printf '{"id":"' > "$new/0000000000000004.json"
echo hello > "$new/notes.txt"
: > "$new/0000000000000005.json"
mkdir "$new/0000000000000006.json"
ln -s /etc/passwd "$new/0000000000000007.json"
mkfifo "$new/0000000000000008.json"
printf '{"id":"deep","attempt":"x","sent_at_ms":1,"body":%s1%s}' "$(head -c 20000 /dev/zero | tr '\0' '[')" "$(head -c 20000 /dev/zero | tr '\0' ']')" > "$new/0000000000000009.json"
echo w > work.txt
ralph-sidecar report progress "still here"
finished"#;
    let stage = Stage::new(&["test -f work.txt"], script);
    let (ran, status) = stage.run(&[]);
    let ran = ran.exits(0);
    assert_eq!(status.outcomes("liar"), ["verified"]);
    assert!(
        ran.out.contains("a report could not be read") || ran.err.contains("a report could not be read"),
        "{ran:?}"
    );
    let kept = files_in(&stage.sandbox.state(), "corrupt");
    assert!(kept.len() >= 6, "{kept:?}");
    let evil = files_in(&stage.sandbox.state(), "corrupt").iter().any(|path| {
        // Only files are read: a pipe would wait for a writer.
        path.symlink_metadata().is_ok_and(|meta| meta.is_file())
            && std::fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains("../../../../evil"))
    });
    assert!(evil, "the message with the path in its id is kept: {kept:?}");
    assert!(!stage.sandbox.base().join("evil").exists());
}

#[test]
fn wrecks_its_mailbox() {
    for script in [
        "rm -rf \"$RALPH_MAILBOX\"; echo w > work.txt",
        "rm -rf \"$RALPH_MAILBOX/new\"; ln -s @ROOT@ \"$RALPH_MAILBOX/new\"; echo w > work.txt",
        "chmod 000 \"$RALPH_MAILBOX/new\"; echo w > work.txt",
        "rm -rf \"$RALPH_MAILBOX/cur\" \"$RALPH_MAILBOX/corrupt\"; echo x > \"$RALPH_MAILBOX/cur\"; echo w > work.txt",
    ] {
        let stage = Stage::new(&["test -f work.txt"], script);
        let before = stage.sandbox.fingerprint();
        let (_, status) = stage.run(&["--attempts", "1"]);
        assert_eq!(status.outcomes("liar"), ["incomplete"], "{script}");
        before.assert_same(&stage.sandbox.fingerprint());
    }
}

#[test]
fn sends_a_thousand_reports() {
    let script = r#"
i=1; while [ $i -le 1000 ]; do
    printf '{"id":"m%s","attempt":"%s","sent_at_ms":1,"body":{"type":"learned","text":"fact %s"}}' $i "$RALPH_NONCE" $i \
        > "$RALPH_MAILBOX/new/$(printf %016d $i).json"
    i=$((i+1))
done
echo w > work.txt; finished"#;
    let stage = Stage::new(&["test -f work.txt"], script);
    let (ran, status) = stage.run(&[]);
    ran.exits(0);
    assert_eq!(status.outcomes("liar"), ["verified"]);
    // What the next prompt carries is bounded.
    let prompt = stage.sandbox.prompt("after", 1);
    assert!(prompt.matches("fact ").count() <= 100, "{}", prompt.matches("fact ").count());
}

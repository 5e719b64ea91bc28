//! Recordings: what an agent's own program printed in a scenario, cleaned of what differs from run to run.
//!
//! With `RALPH_BLESS=1` a small script stands between the driver and the program and keeps a copy of its output; the
//! unit tests of the drivers read these files, cut anywhere (`src/infra/agents/recorded.rs`).

use super::Bench;
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Where recordings are kept.
const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agents/recordings");

/// Tells whether results are to be written down rather than compared.
pub fn blessing() -> bool {
    std::env::var_os("RALPH_BLESS").is_some_and(|value| value == "1")
}

fn tapped(bench: &Bench) -> PathBuf {
    bench.base().join("tapped.jsonl")
}

/// Puts the script in front of the program. It becomes the program, so signals and exit status stay what they are.
pub fn tap(bench: &Bench, command: &mut [String]) {
    let Some(program) = command.first_mut().filter(|_| blessing()) else { return };
    let path = std::path::Path::new(program);
    let Some(name) = path.file_name().filter(|_| path.is_file()) else { return };
    // Drivers know their agents by the name of the program.
    let script = bench.base().join("tap").join(name);
    std::fs::create_dir_all(bench.base().join("tap")).expect("a folder");
    let text = format!(
        "#!/usr/bin/env bash\nexec > >(trap '' INT TERM; exec tee -a '{}')\nexec '{program}' \"$@\"\n",
        tapped(bench).display()
    );
    std::fs::write(&script, text).expect("a script");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("executable");
    *program = script.display().to_string();
}

/// Keeps the recording.
pub fn keep(bench: &Bench, name: &str) {
    let Some(raw) = std::fs::read_to_string(tapped(bench)).ok().filter(|_| blessing()) else { return };
    let folder = PathBuf::from(RECORDINGS).join(bench.subject.name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let cache = bench.program.ancestors().find(|path| path.ends_with("agents") || path.ends_with("node_modules"));
    let mut places = vec![
        (bench.base().display().to_string(), "/bench"),
        (bench.base().display().to_string().replace('/', "-"), "-bench"),
        (super::PROGRAM.to_owned(), "/usr/bin/ralph-sidecar"),
        (bench.mock.address().replace("http://", ""), "127.0.0.1:1"),
    ];
    places.extend(cache.map(|path| (path.display().to_string(), "/agents")));
    places.extend(std::env::var("HOME").ok().map(|home| (format!("{home}/"), "/home/ann/")));
    let cleaned = clean(&raw, &places);
    std::fs::write(folder.join(format!("{name}.jsonl")), cleaned).expect("a recording");
}

/// Replaces places by their stand-ins, and every identifier by its number in the order of first appearance.
fn clean(raw: &str, places: &[(String, &str)]) -> String {
    let text = places.iter().fold(raw.to_owned(), |text, (from, to)| text.replace(from.as_str(), to));
    let mut numbers = HashMap::new();
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let boundary = !out.ends_with(|c: char| c.is_ascii_alphanumeric());
        let found = identifier(rest).filter(|_| boundary);
        if let Some((prefix, length)) = found {
            let next = numbers.len() + 1;
            let number = *numbers.entry(rest[..length].to_owned()).or_insert(next);
            let width = length - prefix;
            out.push_str(&rest[..prefix]);
            if width == UUID {
                out.push_str(&format!("00000000-0000-4000-8000-{number:012}"));
            } else {
                out.push_str(&format!("{number:0width$}"));
            }
            rest = &rest[length..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

const UUID: usize = 36;

/// Finds an identifier at the start of the text: a UUID, or one of opencode's; returns the length of its fixed prefix
/// and of the whole.
fn identifier(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let is_uuid = bytes.len() >= UUID
        && (0..UUID).all(|at| if dash(at) { bytes[at] == b'-' } else { bytes[at].is_ascii_hexdigit() });
    if is_uuid {
        return Some((0, UUID));
    }
    let prefix = ["ses_", "msg_", "prt_"].into_iter().find(|prefix| text.starts_with(prefix))?.len();
    let length = bytes.iter().skip(prefix).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    // The model's own messages have short names.
    (length >= 20).then_some((prefix, prefix + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_keeps_nothing_of_the_machine() {
        let raw = "{\"cwd\":\"/x/ag1/slot\",\"id\":\"6f9619ff-8b86-4d01-b42d-00cf4fc964ff\"}\n\
                   {\"id\":\"6f9619ff-8b86-4d01-b42d-00cf4fc964ff\",\"s\":\"ses_e01091f3affeuHDrN9KFIAQYUO\"}\n";
        let cleaned = clean(raw, &[("/x/ag1".to_owned(), "/bench")]);
        assert_eq!(
            cleaned,
            "{\"cwd\":\"/bench/slot\",\"id\":\"00000000-0000-4000-8000-000000000001\"}\n\
             {\"id\":\"00000000-0000-4000-8000-000000000001\",\"s\":\"ses_00000000000000000000000002\"}\n"
        );
    }

    #[test]
    fn the_recordings_are_whole_and_name_no_machine() {
        let mut count = 0;
        for agent in std::fs::read_dir(RECORDINGS).expect("recordings").flatten() {
            for file in std::fs::read_dir(agent.path()).expect("recordings").flatten() {
                let text = std::fs::read_to_string(file.path()).expect("a recording");
                let name = file.path().display().to_string();
                let of_a_machine = ["sk-ant-", "/root/", "\"/tmp/", " /tmp/", env!("CARGO_TARGET_TMPDIR")];
                assert!(of_a_machine.iter().all(|words| !text.contains(words)), "{name} names its machine");
                for line in text.lines() {
                    let read: Result<serde_json::Value, _> = serde_json::from_str(line);
                    assert!(read.is_ok(), "{name}: {line}");
                }
                count += 1;
            }
        }
        assert!(count >= 20, "only {count} recordings");
    }
}

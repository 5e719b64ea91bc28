//! Pages as people see them, and what must never reach a terminal.

use super::*;
use crate::domain::hunks::{FileChangeTexts, file_hunks};

/// Renders one change per file, all hunks pending but the second, which is accepted.
fn page(changes: &[FileChangeTexts<'_>], color: bool) -> String {
    let hunks: Vec<Vec<Hunk>> = changes.iter().map(file_hunks).collect();
    let mut number = 0;
    let mut files = Vec::new();
    for (change, hunks) in changes.iter().zip(&hunks) {
        let mut shown = Vec::new();
        for hunk in hunks {
            number += 1;
            let standing = if number == 2 { Standing::Accepted } else { Standing::Pending };
            shown.push(ShownHunk { number, hunk, standing, remarks: Vec::new() });
        }
        let base = change.old.and_then(|bytes| std::str::from_utf8(bytes).ok());
        files.push(ShownFile { path: change.path, base, hunks: shown });
    }
    let notes = vec!["verified: 2 checks passed".to_owned()];
    let proposal = ShownProposal { task: "fix-it", title: "Fix it", attempt: 2, notes, files };
    render(&proposal, RenderOptions { color, width: 40 })
}

fn text<'a>(path: &'a str, old: &'a str, new: &'a str) -> FileChangeTexts<'a> {
    FileChangeTexts { path, old: Some(old.as_bytes()), new: Some(new.as_bytes()), ..Default::default() }
}

#[test]
fn a_plain_page_reads_like_a_diff() {
    let old = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight";
    let new = "one\n2\nthree\nfour\nfour and a half\nfive\nsix\nseven\n8\n";
    insta::assert_snapshot!(page(&[text("src/a.txt", old, new)], false), @r#"
    fix-it  Fix it
    attempt 2, 1 file, 3 hunks, 2 pending
    verified: 2 checks passed

    ────────────────────────────────────────
    src/a.txt
    hunk 1  9353ddf077ad  pending
    @@ -1,4 +1,4 @@
     one
    -two
    +2
     three
     four
    hunk 2  bcb4eb6bc8ce  accepted
    @@ -3,5 +3,6 @@
     three
     four
    +four and a half
     five
     six
     seven
    hunk 3  5ad22d96ebbf  pending
    @@ -5,4 +6,4 @@
     five
     six
     seven
    -eight
    \ No newline at end of file
    +8
    "#);
}

#[test]
fn whole_files_say_what_happens() {
    let changes = [
        FileChangeTexts { path: "new.txt", new: Some(b"a\nb"), ..Default::default() },
        FileChangeTexts { path: "tests/a.rs", old: Some(b"#[test]\n"), ..Default::default() },
        FileChangeTexts { path: "logo.png", old: Some(b"\0"), new: Some(b"\0\0"), ..Default::default() },
        FileChangeTexts {
            path: "b.sh",
            old_path: Some("a.sh"),
            old: Some(b"x\n"),
            new: Some(b"x\n"),
            old_mode: Some(0o100_644),
            new_mode: Some(0o100_755),
        },
        text("ends.txt", "a\r\n", "a\n"),
    ];
    insta::assert_snapshot!(page(&changes, false), @r#"
    fix-it  Fix it
    attempt 2, 5 files, 6 hunks, 5 pending
    verified: 2 checks passed
    ! 1 hunk may weaken tests

    ────────────────────────────────────────
    new.txt  (new file)
    hunk 1  0600bb603eb9  pending
    +a
    +b
    \ No newline at end of file

    ────────────────────────────────────────
    tests/a.rs  (deleted)
    hunk 2  4b8d11eb014b  accepted
    ! may weaken tests: deletes a test file
    -#[test]

    ────────────────────────────────────────
    logo.png
    hunk 3  d17ebabb8ec0  pending
      not text: 1 byte (2d3adedf) → 2 bytes (1ad48f49)

    ────────────────────────────────────────
    b.sh  (renamed from a.sh)  (mode)
    hunk 4  d38ba3635042  pending
      rename a.sh → b.sh
    hunk 5  93376468bce5  pending
      mode 100644 → 100755

    ────────────────────────────────────────
    ends.txt
    hunk 6  d4bae137f268  pending
    @@ -1 +1 @@
    -a\r
    +a
    "#);
}

#[test]
fn colours_mark_lines_and_words() {
    let shown = page(&[text("a.rs", "let a = one;\n", "let a = two;\n")], true);
    insta::assert_snapshot!(shown.replace('\x1b', "^"), @r#"
    ^[1mfix-it  Fix it^[0m
    attempt 2, 1 file, 1 hunk, 1 pending
    verified: 2 checks passed

    ^[2m────────────────────────────────────────^[0m
    ^[1ma.rs^[0m
    ^[1mhunk 1^[0m  ^[2me9fc8b362e23^[0m  ^[33mpending^[0m
    ^[36m@@ -1 +1 @@^[0m
    ^[31m-^[0m^[31mlet a = ^[0m^[31;7mone^[0m^[31m;^[0m
    ^[32m+^[0m^[32mlet a = ^[0m^[32;7mtwo^[0m^[32m;^[0m
    "#);
}

#[test]
fn nothing_reaches_the_terminal_unescaped() {
    let evil = "\x1b]0;title\x07 \x1b[2J\rhidden \u{9b}31m \u{202e}abc\u{2066} \u{7f}\0end\n";
    let mut hunks = file_hunks(&text("evil\x1b[1m\npath", "x\n\n", evil.replace('\0', "").as_str()));
    hunks[0].weakens_test = Some(evil.to_owned());
    let shown = vec![ShownHunk {
        number: 1,
        hunk: &hunks[0],
        standing: Standing::WaitsFor(evil.to_owned()),
        remarks: vec![evil.to_owned()],
    }];
    let files = vec![ShownFile { path: &hunks[0].path, base: Some(evil), hunks: shown }];
    let proposal = ShownProposal { task: evil, title: evil, attempt: 1, notes: vec![evil.to_owned()], files };
    let page = render(&proposal, RenderOptions { color: false, width: 80 });
    let allowed =
        |c: char| c == '\n' || (!c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
    assert!(page.chars().all(allowed), "{page:?}");
    assert!(page.contains("\\e]0;title\\u{7} \\e[2J\\rhidden"), "{page}");
}

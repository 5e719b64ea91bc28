//! Which hunks may weaken the tests, and so come first in review.

use super::{Hunk, HunkKind};
use std::collections::HashMap;

/// Starts of lines that define a test, in the languages agents mostly write.
const TEST_STARTS: &[&str] = &[
    "#[test]",
    "#[tokio::test",
    "#[rstest",
    "#[test_case",
    "it(",
    "it.each",
    "test(",
    "test.each",
    "describe(",
    "def test_",
    "async def test_",
    "func Test",
    "func test",
    "@Test",
    "@ParameterizedTest",
    "[Fact",
    "[Theory",
    "[Test",
    "TEST(",
    "TEST_F(",
    "proptest!",
];
/// Starts of lines that assert something.
const ASSERT_STARTS: &[&str] = &[
    "assert",
    "expect(",
    "expect!",
    "await expect(",
    "self.assert",
    "prop_assert",
    "insta::assert",
    "t.Error",
    "t.Fatal",
    "require.",
    "EXPECT_",
    "ASSERT_",
    "XCTAssert",
    "Assert.",
    "with pytest.raises",
    "should.",
    "refute",
];
/// Parts of lines that switch a test off, or all others.
const SKIPS: &[&str] = &[
    "#[ignore",
    "it.skip(",
    "test.skip(",
    "describe.skip(",
    "it.only(",
    "test.only(",
    "describe.only(",
    "xit(",
    "xtest(",
    "xdescribe(",
    "it.todo(",
    "test.todo(",
    "pytest.mark.skip",
    "pytest.mark.xfail",
    "pytest.skip(",
    "unittest.skip",
    "t.Skip(",
    "t.SkipNow(",
    "t.Skipf(",
    "@Disabled",
    "@Ignore",
    "GTEST_SKIP(",
    "XCTSkip",
    ".skip(reason",
];
const TEST_FOLDERS: &[&str] = &["test", "tests", "__tests__", "spec", "specs", "e2e", "__snapshots__"];

/// Returns why a hunk at this path may weaken the tests, as a fragment such as "removes 1 test"; `None` when nothing in
/// it looks so. A heuristic by line starts: it points a person at the hunk and decides nothing.
pub fn weakens_test(path: &str, hunk: &Hunk) -> Option<String> {
    judge(path, hunk, &HashMap::new())
}

/// Sorts for review: hunks that may weaken tests first, then by path, whole-file changes before text, then by line.
pub fn review_order(hunks: &mut [Hunk]) {
    hunks.sort_by(|a, b| {
        let key = |hunk: &Hunk| (hunk.weakens_test.is_none(), hunk.kind, hunk.old_start, hunk.ordinal);
        let (first, second) = (key(a), key(b));
        first.0.cmp(&second.0).then_with(|| a.path.cmp(&b.path)).then_with(|| first.cmp(&second))
    });
}

/// Marks the hunks of one file; lines that only moved to another hunk of the file are not counted as removed.
pub(super) fn mark_weakened(hunks: &mut [Hunk]) {
    let mut added: HashMap<String, usize> = HashMap::new();
    for line in hunks.iter().filter(|hunk| hunk.is_text()).flat_map(|hunk| &hunk.new_lines) {
        if is_test(line) || is_assert(line) {
            *added.entry(line.trim().to_owned()).or_default() += 1;
        }
    }
    for hunk in hunks {
        hunk.weakens_test = judge(&hunk.path, hunk, &added);
    }
}

/// Judges one hunk; `added` counts the test lines the whole file gains, this hunk's own among them.
fn judge(path: &str, hunk: &Hunk, added: &HashMap<String, usize>) -> Option<String> {
    match hunk.kind {
        HunkKind::Delete if is_test_path(path) => return Some("deletes a test file".to_owned()),
        HunkKind::Rename if hunk.old_path.as_deref().is_some_and(is_test_path) && !is_test_path(path) => {
            return Some("moves a test file away from the tests".to_owned());
        }
        HunkKind::Text | HunkKind::Delete => {}
        _ => return None,
    }
    let mut reasons = Vec::new();
    let tests = lost(hunk, is_test, added);
    if tests > 0 {
        reasons.push(format!("removes {tests} test{}", if tests == 1 { "" } else { "s" }));
    }
    let skips = |lines: &[String]| lines.iter().filter(|line| SKIPS.iter().any(|skip| line.contains(skip))).count();
    if skips(&hunk.new_lines) > skips(&hunk.old_lines) {
        reasons.push("skips a test".to_owned());
    }
    let asserts = lost(hunk, is_assert, added);
    if asserts > 0 {
        reasons.push(format!("removes {asserts} assertion{}", if asserts == 1 { "" } else { "s" }));
    }
    (!reasons.is_empty()).then(|| reasons.join(", "))
}

/// Counts the lines of a kind that the hunk removes beyond those it adds, less those that reappear elsewhere in the file.
fn lost(hunk: &Hunk, is_kind: fn(&str) -> bool, added: &HashMap<String, usize>) -> usize {
    let count = |lines: &[String]| lines.iter().filter(|line| is_kind(line)).count();
    let removed = count(&hunk.old_lines).saturating_sub(count(&hunk.new_lines));
    if removed == 0 {
        return 0;
    }
    let own = |line: &str| hunk.new_lines.iter().filter(|new| new.trim() == line).count();
    let mut elsewhere: HashMap<&str, usize> = HashMap::new();
    let moved = hunk.old_lines.iter().map(|line| line.trim()).filter(|line| is_kind(line)).filter(|line| {
        let left =
            elsewhere.entry(line).or_insert_with(|| added.get(*line).copied().unwrap_or(0).saturating_sub(own(line)));
        let is_there = *left > 0;
        *left = left.saturating_sub(1);
        is_there
    });
    removed.saturating_sub(moved.count())
}

fn is_test(line: &str) -> bool {
    let line = line.trim_start();
    TEST_STARTS.iter().any(|start| line.starts_with(start))
}

fn is_assert(line: &str) -> bool {
    let line = line.trim_start();
    ASSERT_STARTS.iter().any(|start| line.starts_with(start))
}

/// Tells whether a path looks like a test file's: a test folder on the way, or a name such as `x_test.go` or `x.spec.ts`.
fn is_test_path(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    folders.split('/').any(|folder| TEST_FOLDERS.contains(&folder))
        || name.contains(".test.")
        || name.contains(".spec.")
        || stem.starts_with("test_")
        || ["_test", "_tests", "_spec", "Test", "Tests", "Spec"].iter().any(|end| stem.ends_with(end))
        || stem == "tests"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hunks::{FileChangeTexts, file_hunks};

    fn check(path: &str, old: Option<&str>, new: Option<&str>, expected: &[Option<&str>]) {
        let change =
            FileChangeTexts { path, old: old.map(str::as_bytes), new: new.map(str::as_bytes), ..Default::default() };
        let marks: Vec<_> = file_hunks(&change).into_iter().map(|hunk| hunk.weakens_test).collect();
        assert_eq!(marks.iter().map(Option::as_deref).collect::<Vec<_>>(), expected, "{path}");
    }

    #[test]
    fn weakened_tests_are_named() {
        let two = "#[test]\nfn a() {\n    assert!(x);\n}\n#[test]\nfn b() {\n    assert!(y);\n}\n";
        check(
            "src/a.rs",
            Some(two),
            Some("#[test]\nfn a() {\n    assert!(x);\n}\n"),
            &[Some("removes 1 test, removes 1 assertion")],
        );
        check("src/a.rs", Some(two), Some(&two.replace("assert!(y)", "let _ = y")), &[Some("removes 1 assertion")]);
        check(
            "src/a.rs",
            Some(two),
            Some(&two.replace("    assert!(y)", "    // assert!(y)")),
            &[Some("removes 1 assertion")],
        );
        check("src/a.rs", Some(two), Some(&two.replace("assert!(y)", "assert!(z)")), &[None]);
        check(
            "src/a.rs",
            Some("#[test]\nfn a() {}\n"),
            Some("#[test]\n#[ignore]\nfn a() {}\n"),
            &[Some("skips a test")],
        );
        check("a.test.ts", Some("it('a', f);\n"), Some("it.skip('a', f);\n"), &[Some("removes 1 test, skips a test")]);
        check("test_a.py", Some("def test_a():\n    assert 1\n"), None, &[Some("deletes a test file")]);
        check("src/a.py", Some("x = 1\n"), None, &[None]);
        check("src/a.rs", Some("let v = a.iter().skip(1);\n"), Some("let v = a.iter().skip(2).skip(3);\n"), &[None]);
    }

    #[test]
    fn a_moved_test_is_not_removed() {
        let old = "def test_a():\n    assert one\n\nx = 1\ny = 2\nz = 3\n";
        check("test_m.py", Some(old), Some("\nx = 1\ny = 2\nz = 3\ndef test_a():\n    assert one\n"), &[None, None]);
    }

    #[test]
    fn weakened_hunks_come_first() {
        let mut hunks = Vec::new();
        for (path, old, new) in
            [("b.rs", "1\n2\n3\n", "x\n2\ny\n"), ("z.rs", "assert!(a);\n", "\n"), ("a.rs", "1\n", "2\n")]
        {
            hunks.extend(file_hunks(&FileChangeTexts {
                path,
                old: Some(old.as_bytes()),
                new: Some(new.as_bytes()),
                ..Default::default()
            }));
        }
        hunks.reverse();
        review_order(&mut hunks);
        let order: Vec<_> = hunks.iter().map(|hunk| (hunk.path.as_str(), hunk.old_start)).collect();
        assert_eq!(order, [("z.rs", 0), ("a.rs", 0), ("b.rs", 0), ("b.rs", 2)]);
    }
}

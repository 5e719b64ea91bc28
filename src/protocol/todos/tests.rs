//! Tables by language, and properties over any text.

use super::*;
use crate::domain::task::{Priority, Status, Task};
use proptest::prelude::*;

/// `line marker author text` of every note.
fn found(path: &str, text: &str) -> Vec<String> {
    let show = |todo: &Todo| {
        let lines =
            if todo.line == todo.end_line { todo.line.to_string() } else { format!("{}-{}", todo.line, todo.end_line) };
        let author = todo.author.as_ref().map(|author| format!("({author})")).unwrap_or_default();
        format!("{lines} {}{author} {}", todo.marker.as_str(), todo.text)
    };
    scan_todos(path, text).iter().map(show).collect()
}

#[test]
fn each_language_finds_comments_and_skips_strings() {
    let table: &[(&str, &str, &[&str])] = &[
        ("a.rs", "let s = \"// TODO: no\";\nlet r = r#\"\" // TODO: no\"#; // TODO: yes\n", &["2 TODO yes"]),
        (
            "a.rs",
            "fn f<'a>(x: &'a str, c: char) { c == '\"'; } // FIXME(bob): lifetimes\n",
            &["1 FIXME(bob) lifetimes"],
        ),
        (
            "a.rs",
            "/* outer /* inner */ TODO: still inside\n * second line\n */ let x = '\\''; // XXX: end",
            &["1-2 TODO still inside second line", "3 XXX end"],
        ),
        ("a.rs", "let b = br##\"\"# // TODO: no\"##;\n//! HACK around it\n", &["2 HACK around it"]),
        ("a.rs", "todo!(\"TODO: no\");\n/// See the TODO list.\n// TODOs are many\n// `TODO: quoted`\n", &[]),
        (
            "a.cpp",
            "auto s = R\"x(// TODO: no)x\"; int n = 1'000'000; // TODO: yes\nchar c = '\"'; /* FIXME both */\n",
            &["1 TODO yes", "2 FIXME both"],
        ),
        ("a.cs", "var s = @\"c:\\ // TODO: no\"; // TODO: yes", &["1 TODO yes"]),
        ("a.java", "String s = \"\"\"\n // TODO: no \"x\n\"\"\"; /** @todo yes */", &["3 TODO yes"]),
        ("a.kt", "val s = \"\"\"// TODO: no\"\"\" // TODO: yes", &["1 TODO yes"]),
        ("a.swift", "let s = #\"\" // TODO: no\"# // TODO: yes", &["1 TODO yes"]),
        ("a.go", "s := `// TODO: no\n// TODO: no` // TODO(#12): yes", &["2 TODO(#12) yes"]),
        (
            "a.ts",
            "const s = `// TODO: no ${ f({a: 1}) /* TODO: in code */ } // TODO: no`; // TODO: yes",
            &["1 TODO in code", "1 TODO yes"],
        ),
        (
            "a.js",
            "x = a.replace(/[/\"`]\\//g, ''); // TODO: yes\ny = a / b; // FIXME: too\nreturn /`/; // XXX: three",
            &["1 TODO yes", "2 FIXME too", "3 XXX three"],
        ),
        (
            "a.php",
            "$s = '# TODO: no'; # TODO: yes\n$h = <<<EOT\n// TODO: no\nEOT;\n// TODO: end",
            &["1 TODO yes", "5 TODO end"],
        ),
        ("a.py", "s = '''\n# TODO: no\n'''\nt = r\"\\\" # TODO: no\"  # TODO: yes\n", &["4 TODO yes"]),
        (
            "a.rb",
            "s = \"#{x} # TODO: no\" # TODO: yes\n=begin\nTODO: block\n=end\nt = <<~EOS\n  # TODO: no\nEOS\n",
            &["1 TODO yes", "3 TODO block"],
        ),
        (
            "a.sh",
            "echo \"# TODO: no\" $# ${#x} # TODO: yes\ncat <<'EOF'\n# TODO: no\nEOF\nx=1#TODO: no\n",
            &["1 TODO yes"],
        ),
        ("a.pl", "my $n = $#list; # TODO: yes\n", &["1 TODO yes"]),
        ("a.yaml", "a: it's # TODO: yes\nb: '# TODO: no'\nurl: http://x#TODO: no\n", &["1 TODO yes"]),
        ("a.toml", "a = '''\n# TODO: no\n''' # TODO: yes\n", &["3 TODO yes"]),
        (
            "a.lua",
            "s = [[\n-- TODO: no\n]] --[==[ TODO: long\n]] more ]==] -- TODO: yes",
            &["3-4 TODO long ]] more", "4 TODO yes"],
        ),
        ("a.sql", "select '-- TODO: no', 'it''s' -- TODO: yes\n/* FIXME: x */", &["1 TODO yes", "2 FIXME x"]),
        (
            "a.hs",
            "f' x = '\"' -- TODO: yes\n{- TODO: a {- b -} c -}\ns = \"-- TODO: no\"",
            &["1 TODO yes", "2 TODO a {- b -} c"],
        ),
        ("a.md", "Text TODO: no\n<!-- TODO: yes -->\n", &["2 TODO yes"]),
        ("a.el", "(setq s \"; TODO: no\") ;; TODO: yes\n(insert ?\\\") ; TODO: two", &["1 TODO yes", "2 TODO two"]),
        ("a.vim", "echo \"TODO: no\"\n\" TODO: yes\n", &["2 TODO yes"]),
        ("a.nix", "s = ''\n # TODO: no\n''; # TODO: yes", &["3 TODO yes"]),
        ("Dockerfile", "RUN x # TODO: yes", &["1 TODO yes"]),
        ("a.unknown", "// TODO: no", &[]),
    ];
    for (path, text, expected) in table {
        assert_eq!(found(path, text), *expected, "{path}: {text}");
    }
}

#[test]
fn notes_continue_over_their_comment() {
    let text = "fn f() {\n    // TODO(ann): first\n    // second\n    //\n    // apart\n    let x = 1; // FIXME: tail\n               // goes on\n    // XXX one\n    // HACK two\n}\n";
    assert_eq!(
        found("a.rs", text),
        ["2-3 TODO(ann) first second", "6-7 FIXME tail goes on", "8 XXX one", "9 HACK two"]
    );
    let todos = scan_todos("a.rs", text);
    assert_eq!(todos[0].context.as_deref(), Some("fn f() {"));
    assert_eq!(todos[1].context.as_deref(), Some("let x = 1;"));
    let top = scan_todos("a.py", "# TODO: x\n\ndef f():\n    pass\n");
    assert_eq!(top[0].context.as_deref(), Some("def f():"));
}

#[test]
fn planning_again_adds_nothing_twice() {
    let text = "// FIXME(bob): Crash on empty input. It happens often.\n// TODO\n\n// TODO\n";
    let todos = scan_todos("src/[id].rs", text);
    let tasks = todo_tasks(&todos, &[]);
    assert_eq!(tasks.len(), 3);
    let first = &tasks[0];
    assert_eq!(
        (first.title.as_str(), first.status, first.priority),
        ("Crash on empty input", Status::Draft, Priority::High)
    );
    assert_eq!(first.acceptance, ["the FIXME at src/[id].rs:1 is resolved and its comment removed"]);
    assert_eq!(first.files, ["src/[[]id[]].rs"]);
    assert_eq!(first.context[0].range, Some((1, 1)));
    assert!(first.description.contains("src/[id].rs:1") && first.description.contains("bob"));
    assert!(first.id.0.len() == 11 && first.id.0.starts_with("todo-"), "{}", first.id);
    assert_eq!(tasks[1].title, "Resolve the TODO at src/[id].rs:2");
    let moved = scan_todos("src/[id].rs", &format!("fn new() {{}}\n\n\n{}", text.replace("input. It", "input.  it")));
    assert_eq!(todo_tasks(&moved, &tasks), []);
    let one_more = scan_todos("src/[id].rs", &format!("{text}\n// TODO: new\n"));
    assert_eq!(todo_tasks(&one_more, &tasks).len(), 1);
    let clash = Task::new(first.id.0.clone(), "other");
    assert!(todo_tasks(&todos[..1], &[clash])[0].id.0.len() > 11);
}

const PATHS: [&str; 21] = [
    "a.rs", "a.c", "a.cs", "a.java", "a.kt", "a.go", "a.ts", "a.php", "a.py", "a.rb", "a.pl", "a.sh", "a.yaml",
    "a.toml", "a.lua", "a.sql", "a.hs", "a.md", "a.el", "a.vim", "a.nix",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(text in "([/*#\"'`\\\\\\n ({}$\\[\\]=<>!-]|r#|R\"x\\(|TODO: |FIXME|é|😀|<<EOF|EOF|--|a1|\\?)*{0,40}") {
        for path in PATHS {
            for todo in scan_todos(path, &text) {
                prop_assert!(todo.line >= 1 && todo.line <= todo.end_line);
                prop_assert!(todo.end_line as usize <= text.matches('\n').count() + 1);
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for path in PATHS {
            let _ = scan_todo_bytes(path, &bytes);
        }
    }

    /// A note on the last line is found whatever complete line comments stand above it.
    #[test]
    fn comments_hide_nothing(noise in prop::collection::vec("[a-z'\"`/*\\\\{}]{0,12}", 0..6)) {
        for (path, sign) in [("a.rs", "// "), ("a.py", "# "), ("a.sql", "-- "), ("a.sh", "# "), ("a.ts", "// ")] {
            let above: String = noise.iter().map(|line| format!("{sign}{line}\n")).collect();
            let text = format!("{above}\n{sign}TODO: last\n");
            let last = scan_todos(path, &text).pop().map(|todo| todo.text);
            prop_assert_eq!(last.as_deref(), Some("last"), "{}: {}", path, text);
        }
    }
}

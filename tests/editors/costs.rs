//! The tables of `docs/review.md`: what reviewing costs a person, as counted and measured in a real editor.
//!
//! The keys are checked against the page. The milliseconds depend on the machine; they are printed, and written into the
//! page with `RALPH_BLESS=1`.

use std::path::PathBuf;

/// Takes what a script printed: lines of `COST step | keys | milliseconds`.
pub fn check(editor: &str, said: &str) {
    let rows: Vec<[&str; 3]> = said.lines().filter_map(|line| line.strip_prefix("COST ")).map(cells).collect();
    assert!(!rows.is_empty(), "nothing was counted:\n{said}");
    for [step, keys, milliseconds] in &rows {
        println!("{editor}: {step}: {keys} keys, {milliseconds} ms");
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/review.md");
    let page = std::fs::read_to_string(&path).expect("the page is readable");
    let (begin, end) = (format!("<!-- {editor}: begin -->\n"), format!("<!-- {editor}: end -->"));
    let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("the page has no {begin}"));
    let (table, after) = rest.split_once(&end).unwrap_or_else(|| panic!("the page has no {end}"));
    if std::env::var_os("RALPH_BLESS").is_some() {
        let row = |[step, keys, milliseconds]: &[&str; 3]| format!("| {step} | {keys} | {milliseconds} |\n");
        let table: String = rows.iter().map(row).collect();
        let head = "| step | keys | ms |\n| --- | --- | --- |\n";
        std::fs::write(&path, format!("{before}{begin}{head}{table}{end}{after}")).expect("the page is written");
        return;
    }
    let counted = |rows: &[[&str; 3]]| rows.iter().map(|[step, keys, _]| format!("{step}: {keys}")).collect::<Vec<_>>();
    let written: Vec<[&str; 3]> =
        table.lines().skip(2).map(|line| cells(line.trim_start_matches("| ").trim_end_matches(" |"))).collect();
    assert_eq!(counted(&rows), counted(&written), "the page says otherwise; RALPH_BLESS=1 writes it anew");
}

fn cells(line: &str) -> [&str; 3] {
    let cells: Vec<&str> = line.split(" | ").collect();
    cells.try_into().unwrap_or_else(|_| panic!("not three cells: {line}"))
}
